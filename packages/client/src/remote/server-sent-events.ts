/** The `data` of each event of a `text/event-stream`, as its standard cuts it. Other fields are passed over. */
export async function* serverSentData(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, void> {
  const reader = body.getReader() // Safari's streams cannot be iterated
  const decoder = new TextDecoder()
  let text = ''
  let data: string[] = []
  try {
    for (;;) {
      const { done, value } = await reader.read()
      // Servers forget the empty line behind the last event.
      text += done ? `${decoder.decode()}\n\n` : decoder.decode(value, { stream: true })
      // A carriage return at the end may be the first half of a line's end.
      const lines = text.split(/\r\n|\n|\r(?!$)/)
      text = lines.pop() ?? ''
      for (const line of lines) {
        if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5))
        else if (line === '' && data.length > 0) {
          yield data.join('\n')
          data = []
        }
      }
      if (done) return
    }
  } finally {
    await reader.cancel().catch(() => {}) // a stream that has failed has nothing to give back
  }
}

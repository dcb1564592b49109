import type { Figures } from './figures.ts'
import { figuresText } from './figures.ts'

/** Lengths of prompts, in tokens, as far as the model's context goes. */
const PROMPTS = [16, 128, 512]
const WORDS = 'The cat and the dog went to the park and played with a red ball until it was time to go home. '

/** What `tabserve bench` opens: measures the model that its address names, shows the figures, and gives them to who drives the browser. */
const figures = measure(new URL(location.href).searchParams)
Object.assign(globalThis, { figures })
const show = (text: string) => (document.body.textContent = text)
show('Measuring…')
figures.then(
  (found) => show(figuresText(found)),
  (error: unknown) => show(String(error)),
)

async function measure(query: URLSearchParams): Promise<Figures> {
  const address = query.get('model') ?? ''
  const maxTokens = Number(query.get('maxTokens'))
  const answers = Number(query.get('together'))
  const cold = await window.tabserve.createClient()
  await cold.models.remove(address).catch(() => {}) // nothing kept of it is as good
  const coldLoadMs = (await timed(() => cold.load(address))).ms
  cold.dispose()
  const client = await window.tabserve.createClient()
  const { ms: warmLoadMs, value: info } = await timed(() => client.load(address))
  // Each with a salt of its own: nothing is remembered from one to the next.
  const ask = (prompt: string, seed: number, tokens: number) =>
    client.generate({
      model: info.id,
      prompt,
      seed,
      maxTokens: tokens,
      ignoreEos: true,
      cacheSalt: String(seed),
    })
  const lengths = PROMPTS.filter((length) => length + maxTokens < info.contextLength)
  const prompts = await Promise.all(lengths.map((length) => promptOf(client, info.id, length)))
  const firstToken = []
  for (const [index, { text, tokens }] of prompts.entries())
    firstToken.push({ promptTokens: tokens, ms: (await ask(text, index, 1)).timing.firstTokenMs ?? NaN })
  const short = prompts[0]?.text ?? 'The'
  const { timing } = await ask(short, 100, maxTokens)
  const tokensPerSecond = (1000 * (maxTokens - 1)) / (timing.totalMs - (timing.firstTokenMs ?? 0))
  const { ms } = await timed(() =>
    Promise.all(Array.from({ length: answers }, (_, index) => ask(short, 200 + index, maxTokens))),
  )
  client.dispose()
  return {
    ...{ model: info.id, runner: info.runner, threads: info.threads, browser: browserName() },
    ...{ coldLoadMs, warmLoadMs, firstToken, tokensPerSecond },
    loadedBytes: info.manifest.files.reduce((sum, { bytes }) => sum + bytes, 0),
    together: { answers, tokensPerSecond: (1000 * answers * maxTokens) / ms },
  }
}

async function timed<T>(job: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const begin = performance.now()
  const value = await job()
  return { value, ms: performance.now() - begin }
}

/** A prompt of as many tokens, or a few more. */
async function promptOf(
  client: Awaited<ReturnType<Window['tabserve']['createClient']>>,
  model: string,
  length: number,
): Promise<{ text: string; tokens: number }> {
  const words = WORDS.split(' ')
  let text = ''
  for (let index = 0; ; index++) {
    text += `${words[index % words.length]} `
    if (index + 1 < length / 2) continue // no word has more than a few tokens
    const { length: tokens } = await client.tokenize({ model, prompt: text })
    if (tokens >= length) return { text, tokens }
  }
}

function browserName(): string {
  return /(Firefox|Chrome|Version)\/\d+/.exec(navigator.userAgent)?.[0] ?? navigator.userAgent
}

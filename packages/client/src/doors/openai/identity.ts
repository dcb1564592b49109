/** What every object of OpenAI's says of itself: `created` in seconds since 1970. */
export interface Identity {
  readonly id: string
  readonly created: number
  readonly model: string
}

export function newIdentity(prefix: string, model: string): Identity {
  return { id: newId(prefix), created: Math.floor(Date.now() / 1000), model }
}

/** `crypto.randomUUID` is for secure pages only. */
export function newId(prefix: string): string {
  const words = crypto.getRandomValues(new Uint32Array(4))
  return `${prefix}-${[...words].map((word) => word.toString(16).padStart(8, '0')).join('')}`
}

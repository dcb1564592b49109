import type { Prompt } from './peer.ts'

/** Throws when an engine has cut a text into other tokens than meant, and so has read another prompt than the others. */
export function assertRead({ numTokens }: Prompt, numRead: number): void {
  if (numRead !== numTokens) throw new Error(`a prompt of ${numTokens} tokens was read as ${numRead}`)
}

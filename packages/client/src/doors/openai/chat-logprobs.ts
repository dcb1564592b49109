import type { TokenLogprob } from '@tabserve/protocol'
import type { TokenTexts } from './token-texts.ts'

export interface ChatTokenLogprob {
  token: string
  logprob: number
  /** UTF-8; `null` where the token is a part of a character only. */
  bytes: number[] | null
  top_logprobs: { token: string; logprob: number; bytes: number[] | null }[]
}

export async function chatLogprobs(
  logprobs: readonly TokenLogprob[],
  texts: TokenTexts,
): Promise<ChatTokenLogprob[]> {
  const textOf = await texts.read(logprobs)
  const entry = ({ token, logprob }: { readonly token: number; readonly logprob: number }) => {
    const text = textOf(token)
    return {
      token: text,
      logprob,
      bytes: text.includes('\uFFFD') ? null : [...new TextEncoder().encode(text)],
    }
  }
  return logprobs.map((logprob) => ({ ...entry(logprob), top_logprobs: logprob.top.map(entry) }))
}

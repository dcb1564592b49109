import type { Pulse } from '@tabserve/protocol'
import { Heartbeat } from './heartbeat.ts'

/** Longest pause between two beats: how late a hang may be noticed beyond its limit. */
const BEAT_MS = 1000

export interface Watched {
  /** Milliseconds, asked at every beat: what the other side does now may allow it more. */
  readonly hangTimeoutMs: () => number
  /** Rejects when the other side is gone, of which everybody hears elsewhere. */
  readonly pulse: () => Promise<Pulse>
  /** Called once, with what is wrong. */
  readonly onHung: (problem: string) => void
}

/** Asks again and again how the other side is. Returns how to stop. */
export function watch({ hangTimeoutMs, pulse, onHung }: Watched): () => void {
  const beatMs = Math.min(BEAT_MS, hangTimeoutMs() / 4)
  const heartbeat = new Heartbeat()
  const timer = setInterval(() => {
    const problem = heartbeat.tick(Math.ceil(hangTimeoutMs() / beatMs))
    if (problem !== undefined) {
      clearInterval(timer)
      return onHung(problem)
    }
    if (!heartbeat.beat()) return
    pulse().then(
      (answer) => heartbeat.answered(answer),
      () => {}, // it is gone
    )
  }, beatMs)
  return () => clearInterval(timer)
}

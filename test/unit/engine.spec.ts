import { expect, test } from 'playwright/test'
import type { RequestEvent } from '../../packages/protocol/src/index.ts'
import { Engine } from '../../packages/engine/src/engine.ts'
import type { Prompt } from '../../packages/engine/src/engine.ts'
import type { ModelRunner, Step, StepResult } from '../../packages/engine/src/model-runner.ts'
import { resolveSampling } from '../../packages/engine/src/sampling-params.ts'

const VOCAB = 64

/**
 * A model whose next token is the sum of all before it, modulo its vocabulary. It really keeps tokens per row, so an engine
 * that claims as computed what was never run gets other tokens.
 */
class FakeRunner implements ModelRunner {
  readonly capabilities = { mixed: false, maxRows: 1, maxContext: 32, maxTokensPerStep: 4, vocabSize: VOCAB }
  readonly steps: Step[] = []
  readonly #row: number[] = []
  failAt: number | undefined
  disposed = false

  async run(step: Step): Promise<StepResult> {
    if (this.disposed) throw new Error('run after dispose')
    if (this.steps.push(step) === this.failAt) throw new Error('the pass failed')
    const logits = step.runs.map(({ from, tokens, wantLogits }) => {
      if (tokens.length > this.capabilities.maxTokensPerStep) throw new Error('too many tokens')
      tokens.forEach((token, index) => (this.#row[from + index] = token))
      if (wantLogits === 'none') return new Float32Array()
      const row = new Float32Array(VOCAB)
      row[sumOf(this.#row.slice(0, from + tokens.length))] = 10
      return row
    })
    return { logits }
  }

  async dispose(): Promise<void> {
    this.disposed = true
  }
}

test('a prompt is read in chunks, and logits are asked for its last token only', async () => {
  const { runner, ask } = start()
  const events = await ask({ tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9], maxTokens: 2 })
  expect(runner.steps.map(({ runs: [run] }) => [run?.from, run?.tokens.length, run?.wantLogits])).toEqual([
    [0, 4, 'none'],
    [4, 4, 'none'],
    [8, 1, 'last'],
    [9, 1, 'last'],
  ])
  expect(tokensOf(events)).toEqual([45, 26])
})

test('every request ends in exactly one last word, whatever ends it', async () => {
  const { ask } = start()
  for (const events of [
    await ask({ tokens: [1], maxTokens: 3 }),
    await ask({ tokens: [1, 1], stopTokenIds: [4] }),
    await ask({ tokens: [1, 1], eos: true }),
    await ask({ tokens: [1] }),
  ]) {
    expect(events.filter(({ type }) => type !== 'delta')).toHaveLength(1)
    expect(events.at(-1)?.type).toBe('finish')
  }
})

test('a stop token is counted and not said', async () => {
  const { ask } = start()
  const events = await ask({ tokens: [1, 1], stopTokenIds: [4] })
  expect(tokensOf(events)).toEqual([2])
  expect(events.at(-1)).toMatchObject({
    reason: 'stop',
    stop: 4,
    usage: { promptTokens: 2, completionTokens: 2 },
  })
})

test('generation ends with length at the end of the context', async () => {
  const { ask } = start()
  const events = await ask({ tokens: [1] })
  expect(events.at(-1)).toMatchObject({ reason: 'length', usage: { completionTokens: 31 } })
})

test('a prompt that leaves no room, or is empty, is refused at the door', () => {
  const { engine } = start()
  const submit = (tokens: number[]) => () =>
    engine.submit({ tokens, sampling: resolveSampling({}, VOCAB) }, () => {})
  expect(submit([])).toThrow(expect.objectContaining({ code: 'bad_request' }))
  expect(submit(new Array(32).fill(1))).toThrow(expect.objectContaining({ code: 'context_overflow' }))
  expect(submit(new Array(31).fill(1))).not.toThrow()
})

test('a cancelled request says abort once, and nothing is computed for it afterwards', async () => {
  const { runner, engine, settled } = start()
  const events: RequestEvent[] = []
  const cancel = engine.submit(prompt({ tokens: [1] }), (event) => {
    if (events.push(event) === 3) cancel()
  })
  await settled()
  cancel()
  expect(events.map(({ type }) => type)).toEqual(['delta', 'delta', 'delta', 'finish'])
  expect(events.at(-1)).toMatchObject({ reason: 'abort' })
  expect(runner.steps).toHaveLength(3)
})

test('a request cancelled while its step runs hears nothing of that step', async () => {
  const { runner, engine, settled } = start()
  const events: RequestEvent[] = []
  const run = runner.run.bind(runner)
  runner.run = (step) => {
    cancel()
    return run(step)
  }
  const cancel = engine.submit(prompt({ tokens: [1] }), (event) => events.push(event))
  await settled()
  expect(events).toMatchObject([{ type: 'finish', reason: 'abort', usage: { completionTokens: 0 } }])
})

test('a failed pass ends the requests in it and no others', async () => {
  const { runner, ask } = start()
  runner.failAt = 2
  const [first, second] = await Promise.all([ask({ tokens: [1] }), ask({ tokens: [2], maxTokens: 2 })])
  expect(first.at(-1)).toMatchObject({
    type: 'error',
    error: { code: 'backend_failed', message: 'the pass failed' },
  })
  expect(tokensOf(second)).toEqual([2, 4])
  expect(tokensOf(await ask({ tokens: [3], maxTokens: 1 }))).toEqual([3])
})

test('requests are answered in the order in which they came', async () => {
  const { engine, settled } = start()
  const order: number[] = []
  for (const name of [1, 2, 3]) {
    engine.submit(
      prompt({ tokens: [name], maxTokens: 4 - name }),
      ({ type }) => type === 'finish' && order.push(name),
    )
  }
  await settled()
  expect(order).toEqual([1, 2, 3])
})

test('disposing ends what runs and what waits with the given error', async () => {
  const { engine, ask } = start()
  const running = [ask({ tokens: [1] }), ask({ tokens: [2] })]
  await engine.dispose({ code: 'engine_lost', message: 'unloaded' })
  for (const events of await Promise.all(running)) {
    expect(events.at(-1)).toEqual({ type: 'error', error: { code: 'engine_lost', message: 'unloaded' } })
  }
})

interface Asked {
  readonly tokens: number[]
  readonly maxTokens?: number
  readonly stopTokenIds?: number[]
  readonly eos?: boolean
}

function start() {
  const runner = new FakeRunner()
  const engine = new Engine({
    runner,
    decode: (tokens) => tokens.map((token) => `<${token}>`).join(''),
    eosTokenIds: [8],
    now: () => 0,
    breathe: () => new Promise((resolve) => setImmediate(resolve)),
    randomSeed: () => 1,
  })
  /** Long after the longest request here has ended: a turn of the event loop is a step. */
  const settled = async () => {
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  const ask = (asked: Asked) =>
    new Promise<RequestEvent[]>((resolve) => {
      const events: RequestEvent[] = []
      engine.submit(prompt(asked), (event) => {
        events.push(event)
        if (event.type !== 'delta') void settled().then(() => resolve(events)) // a second last word would come by then
      })
    })
  return { runner, engine, ask, settled }
}

function prompt({ tokens, eos = false, ...options }: Asked): Prompt {
  return { tokens, sampling: resolveSampling({ temperature: 0, ignoreEos: !eos, ...options }, VOCAB) }
}

function tokensOf(events: readonly RequestEvent[]): number[] {
  return events.flatMap((event) => (event.type === 'delta' ? event.tokens : []))
}

function sumOf(tokens: readonly number[]): number {
  return tokens.reduce((sum, token) => sum + token, 0) % VOCAB
}

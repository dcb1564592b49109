import { expect, test } from 'playwright/test'
import type { Constraint } from '../../packages/engine/src/constraint.ts'
import { EngineError } from '../../packages/protocol/src/index.ts'
import type { Asked } from './fake-engine.ts'
import { prompt, startEngine, tokensOf } from './fake-engine.ts'
import { FakeRunner, VOCAB, continuation } from './fake-runner.ts'

const KINDS = {
  rows: { maxRows: 4, maxContext: 128, maxTokensPerStep: 16, batchedPrefill: true },
  blocks: {
    mixed: true,
    maxRows: 4,
    maxContext: 128,
    maxTokensPerStep: 16,
    paged: { numBlocks: 64, blockTokens: 16 },
  },
} as const
const list = (length: number, seed = 0) => Array.from({ length }, (_, index) => (index * 7 + seed) % 64)
const turn = () => new Promise((resolve) => setImmediate(resolve))
/** Later than the engine's next plan. */
const soon = () => turn().then(turn).then(turn)

/** Allows what `allowed` says of the tokens so far, once it is told to `answer`. Checks that nothing is drawn that it has not allowed. */
class FakeConstraint implements Constraint {
  mask: Int32Array | undefined
  error: EngineError | undefined
  disposed = 0
  readonly tokens: number[]
  readonly #allowed: (tokens: readonly number[]) => (token: number) => boolean
  readonly #isPrompt: boolean
  #listener = () => {}

  /** @param said what its answer had said before, and it has accepted. */
  constructor(
    allowed: (tokens: readonly number[]) => (token: number) => boolean,
    isPrompt = true,
    said: readonly number[] = [],
  ) {
    this.#allowed = allowed
    this.tokens = [...said]
    this.#isPrompt = isPrompt
    if (isPrompt) void soon().then(() => this.answer())
  }

  answer(): void {
    const mask = new Int32Array(Math.ceil(VOCAB / 32))
    const isAllowed = this.#allowed(this.tokens)
    for (let token = 0; token < VOCAB; token++) if (isAllowed(token)) mask[token >> 5]! |= 1 << (token & 31)
    this.mask = mask
    this.#listener()
  }

  fail(error: EngineError): void {
    this.error = error
    this.#listener()
  }

  accept(token: number): void {
    if (this.mask === undefined || !this.#allowed(this.tokens)(token) || this.disposed > 0)
      throw new Error(`token ${token} was not allowed`)
    this.tokens.push(token)
    this.mask = undefined
    if (this.#isPrompt) void soon().then(() => this.answer())
  }

  onChange(listener: () => void): void {
    this.#listener = listener
  }

  dispose(): void {
    this.disposed++
  }
}

const anything = () => () => true

for (const [kind, room] of Object.entries(KINDS)) {
  /** As `ask` of the engine, held to constraints that are made as they are wanted. */
  const start = (options = {}) => {
    const started = startEngine(room, options, async () => new FakeRunner(room))
    const constraints: FakeConstraint[] = []
    const ask = (asked: Asked, make: (said: readonly number[]) => FakeConstraint) =>
      new Promise<ReturnType<typeof tokensOf>>((resolve, reject) => {
        const events: Parameters<typeof tokensOf>[0][number][] = []
        const constrain = (said: readonly number[]) => {
          const constraint = make(said)
          constraints.push(constraint)
          return constraint
        }
        started.engine.submit({ ...prompt(asked), constrain }, (event) => {
          events.push(event)
          if (event.type === 'error') reject(EngineError.fromWire(event.error))
          if (event.type === 'finish') resolve(tokensOf(events))
        })
      })
    return { ...started, constraints, held: ask }
  }

  test(`${kind}: an answer that may say anything says what it says without a grammar, beside others and after others`, async () => {
    const { held, ask, engine, constraints } = start()
    for (let round = 0; round < 3; round++) {
      const tokens = list(20, round % 2)
      const answers = await Promise.all([
        held({ tokens, maxTokens: 12 }, () => new FakeConstraint(anything)),
        ask({ tokens, maxTokens: 12 }).then((events) => tokensOf(events)),
        held({ tokens, maxTokens: 12 }, () => new FakeConstraint(anything)),
      ])
      for (const answer of answers) expect(answer).toEqual(continuation(tokens, 12))
      engine.check()
    }
    expect(constraints.map(({ disposed }) => disposed)).toEqual(constraints.map(() => 1))
  })

  test(`${kind}: who is let in and rests at once still gets the KV that was copied for him`, async () => {
    const { held, engine } = start()
    const tokens = list(23)
    for (let round = 0; round < 3; round++)
      expect(await held({ tokens, maxTokens: 4 }, () => new FakeConstraint(anything))).toEqual(
        continuation(tokens, 4),
      )
    expect(engine.stats().cachedTokens).toBe(2 * 22)
  })

  test(`${kind}: only what is allowed is drawn, and a draft is never made`, async () => {
    const { held, engine } = start({ speculation: 'auto' })
    const isOdd = (tokens: readonly number[]) => (token: number) =>
      token % 2 === (tokens.length % 3 === 0 ? 1 : 0)
    const answer = await held({ tokens: list(9), maxTokens: 60 }, () => new FakeConstraint(isOdd))
    expect(answer).toHaveLength(60)
    answer.forEach((token, index) => expect(isOdd(answer.slice(0, index))(token)).toBe(true))
    expect(engine.stats().steps.verify).toBe(0)
  })

  test(`${kind}: a device that is lost is not noticed by who is held to a grammar, be it drawn from or awaited`, async () => {
    const { held, ask, engine, runner } = start()
    runner.loseAt = 5
    const prompts = [list(20), list(9, 1), list(14, 2)]
    const answers = await Promise.all([
      held({ tokens: prompts[0]!, maxTokens: 12 }, () => new FakeConstraint(anything)),
      held({ tokens: prompts[1]!, maxTokens: 12 }, () => new FakeConstraint(anything)),
      ask({ tokens: prompts[2]!, maxTokens: 12 }).then((events) => tokensOf(events)),
    ])
    answers.forEach((answer, index) => expect(answer).toEqual(continuation(prompts[index]!, 12)))
    engine.check()
    expect(engine.stats()).toMatchObject({ losses: 1, running: 0, waiting: 0 })
  })

  test(`${kind}: answers that are cut and resumed are held to what their grammars say behind the tokens that each had said`, async () => {
    // What may come depends on how much was said, and of it on the last token.
    const rule = (tokens: readonly number[]) => (token: number) =>
      token % 3 === (tokens.length + (tokens.at(-1) ?? 0)) % 3
    const asked = { tokens: list(9), maxTokens: 12, temperature: 1, seed: 4 }
    const make = (said: readonly number[]) => new FakeConstraint(rule, true, said)
    const whole = await start().held(asked, make)
    for (let cut = 0; cut <= whole.length; cut++) {
      const { held, constraints } = start()
      const said = whole.slice(0, cut)
      expect([...said, ...(await held({ ...asked, resume: [{ tokens: said }] }, make))]).toEqual(whole)
      expect(constraints.map(({ tokens, disposed }) => ({ tokens, disposed }))).toEqual([
        { tokens: whole, disposed: 1 },
      ])
    }
  })

  test(`${kind}: a prompt is read while its grammar is made, and others go on; it waits with its last token only`, async () => {
    const { held, ask, engine, constraints, runner } = start()
    const waiting = held({ tokens: list(40), maxTokens: 3 }, () => new FakeConstraint(anything, false))
    await ask({ tokens: list(5, 9), maxTokens: 30 })
    expect(runner.numComputed).toBe(39 + 5 + 29)
    expect(engine.stats()).toMatchObject({ running: 1, waiting: 0 })
    for (let token = 0; token < 3; token++) {
      const before = runner.numComputed
      for (let count = 0; count < 10; count++) await turn()
      expect(runner.numComputed).toBe(before)
      constraints[0]?.answer()
      while (runner.numComputed === before) await turn()
    }
    expect(await waiting).toEqual(continuation(list(40), 3))
  })

  test(`${kind}: a grammar that fails ends its request alone, a cancel and a deadline end one that rests`, async () => {
    const { held, ask, engine, constraints, settled } = start()
    const other = ask({ tokens: list(5, 9), maxTokens: 30 })
    const failing = held({ tokens: list(9), n: 2 }, () => new FakeConstraint(anything, false))
    await turn()
    constraints[1]?.fail(new EngineError('bad_request', 'no such grammar'))
    await expect(failing).rejects.toMatchObject({ code: 'bad_request', message: 'no such grammar' })
    expect(tokensOf(await other)).toEqual(continuation(list(5, 9), 30))

    const said: string[] = []
    const submit = (name: string, more: object) =>
      engine.submit(
        {
          ...prompt({ tokens: list(9, constraints.length), ...more }),
          constrain: () => (constraints.push(new FakeConstraint(anything, false)), constraints.at(-1)!),
        },
        (event) => said.push(`${name} ${event.type === 'finish' ? event.choices[0]?.reason : event.type}`),
      )
    const cancel = submit('cancelled', {})
    await settled()
    expect(said).toEqual([])
    cancel()
    submit('late', { timeoutMs: 5 })
    submit('disposed of', {})
    await settled()
    expect(said).toEqual(['cancelled abort', 'late timeout'])
    await engine.dispose({ code: 'engine_lost', message: 'the end' })
    expect(said).toEqual(['cancelled abort', 'late timeout', 'disposed of error'])
    expect(constraints.map(({ disposed }) => disposed)).toEqual(constraints.map(() => 1))
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0 })
  })

  test(`${kind}: where grammar and options leave no token, the request says so`, async () => {
    const { held } = start()
    const answer = held(
      { tokens: list(9), allowedTokenIds: [3] },
      () => new FakeConstraint(() => (token) => token === 4),
    )
    await expect(answer).rejects.toMatchObject({ code: 'bad_request' })
  })
}

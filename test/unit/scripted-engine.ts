import type { Observer } from '../../packages/engine/src/observer.ts'
import { prompt, startEngine } from './fake-engine.ts'

const CONVERSATION = [10, 11, 12, 13, 14]

/**
 * Requests to an engine with two places, blocks of 4 tokens and passes of 10 ms. `first` and `second` side by side; `third`, with two answers, finds
 * the first one's prompt in the cache; `fourth` is cancelled in its second pass, behind `waits`; one more is refused; the pass of `fifth` fails; and
 * `sixth` is sent back by `seventh`.
 */
export async function scriptedEngine(observer?: Observer) {
  const started = startEngine(
    { mixed: true, paged: { numBlocks: 16, blockTokens: 4 }, maxRows: 2, maxTokensPerStep: 8 },
    { maxWaiting: 1 },
    undefined,
    observer,
  )
  const { ask, runner, engine } = started
  runner.cost = () => 10
  await Promise.all([
    ask({ tokens: CONVERSATION, maxTokens: 3, requestId: 'first' }),
    ask({ tokens: [20, 21], maxTokens: 2, requestId: 'second' }),
  ])
  await ask({ tokens: CONVERSATION, maxTokens: 1, n: 2, requestId: 'third' })
  await refuseAndCancel(started)
  runner.failAt = runner.steps.length + 1
  await ask({ tokens: [40], maxTokens: 2, requestId: 'fifth' })
  const sixth = [0, 1].map((index) =>
    ask({ tokens: [50 + index], maxTokens: 4, priority: 1, requestId: `sixth-${index}` }),
  )
  while (runner.clock < 110) await new Promise((resolve) => setImmediate(resolve))
  await Promise.all([ask({ tokens: [60], maxTokens: 1, preempt: true, requestId: 'seventh' }), ...sixth])
  return { runner, engine }
}

async function refuseAndCancel({ engine, runner, settled }: ReturnType<typeof startEngine>): Promise<void> {
  const submit = (requestId: string, maxTokens?: number) =>
    engine.submit(
      prompt({ tokens: [30, 31, 32], ...(maxTokens === undefined ? {} : { maxTokens }), requestId }),
      () => {},
    )
  const cancel = submit('fourth')
  submit('beside', 1)
  submit('waits', 1)
  let isRefused = false
  try {
    submit('refused')
  } catch {
    isRefused = true
  }
  if (!isRefused) throw new Error('the queue took more than it may')
  const before = runner.steps.length
  runner.cost = () => {
    if (runner.steps.length === before + 1) cancel()
    return 10
  }
  await settled()
  runner.cost = () => 10
}

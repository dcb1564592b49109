import { expect, test } from 'playwright/test'
import { KeptVerdicts } from '../../packages/client/src/hub/split/kept-verdicts.ts'
import { splitCandidates } from '../../packages/client/src/hub/split/split-candidates.ts'
import type { SplitChooserPorts } from '../../packages/client/src/hub/split/split-chooser.ts'
import { SplitChooser } from '../../packages/client/src/hub/split/split-chooser.ts'
import { splitVerdict } from '../../packages/client/src/hub/split/split-verdict.ts'
import type { LoadRequest, Split } from '../../packages/protocol/src/index.ts'
import { EngineError } from '../../packages/protocol/src/index.ts'
import { FakeClock } from './fake-clock.ts'
import { FakeHost } from './fake-host.ts'

test('the ways to share cores out take the same cores, whatever they leave to the page', () => {
  const of = (cores: number, threads?: number, crossOriginIsolated = true) =>
    splitCandidates({ cores, crossOriginIsolated, threads }).map(
      ({ replicas, threads }) => `${replicas}×${threads}`,
    )
  expect(of(1)).toEqual(['1×1'])
  expect(of(2)).toEqual(['1×2', '2×1'])
  expect(of(8)).toEqual(['1×4', '2×2', '4×1'])
  expect(of(32)).toEqual(['1×4', '2×2', '4×1'])
  expect(of(6)).toEqual(['1×3', '2×1'])
  expect(of(8, 2)).toEqual(['1×2', '2×2'])
  expect(of(8, undefined, false)).toEqual(['1×1', '2×1', '4×1'])
})

test('the fastest way wins, more replicas only where they are clearly faster, and the reason has the figures', () => {
  const alone = { replicas: 1, threads: 2, tokensPerSecond: 1000 }
  const verdict = (tokensPerSecond: number) =>
    splitVerdict([alone, { replicas: 2, threads: 1, tokensPerSecond }])
  expect(verdict(1040)).toMatchObject({ replicas: 1, threads: 2 })
  expect(verdict(1071)).toMatchObject({
    replicas: 2,
    threads: 1,
    reason: 'measured 1071 tokens/s with 2 × 1 thread, 1000 tokens/s with 1 × 2 threads',
  })
  const { replicas, reason } = splitVerdict([alone, { replicas: 2, threads: 1, problem: 'no room' }])
  expect({ replicas, reason }).toEqual({
    replicas: 1,
    reason: 'measured 1000 tokens/s with 1 × 2 threads, 2 × 1 thread: no room',
  })
})

/** A machine of two cores on which a split has this rate, or fails. */
async function machine(
  rates: Record<string, number | EngineError>,
  change: Partial<SplitChooserPorts> & { device?: 'webgpu' } = {},
) {
  const clock = new FakeClock()
  const host = new FakeHost(clock)
  const loading = host.load({ url: 'https://models.test/m/1/' }, {}) // 1000 bytes of files, 500 of KV
  await clock.advance(100)
  const loaded = await loading
  const info =
    change.device === undefined ? loaded : { ...loaded, choice: { ...loaded.choice, device: change.device } }
  const measured: string[] = []
  const ports: SplitChooserPorts = {
    machine: { cores: 2, crossOriginIsolated: true, threads: undefined },
    userAgent: 'Browser 1',
    verdicts: new KeptVerdicts(() => storage),
    roomBytes: () => Infinity,
    meter(_request, { replicas, threads }: Split) {
      measured.push(`${replicas}×${threads}`)
      const rate = rates[`${replicas}×${threads}`]
      if (typeof rate === 'number') return Promise.resolve({ info, tokensPerSecond: rate })
      return Promise.reject(rate ?? new Error(`nobody asked for ${replicas}×${threads}`))
    },
    ...change,
  }
  const chooser = new SplitChooser(ports)
  const choose = (request: LoadRequest = REQUEST) => chooser.choose(request, new MessageChannel().port1)
  return { choose, measured }
}

const REQUEST: LoadRequest = { url: 'https://models.test/m/1/' }
let storage: Storage
test.beforeEach(() => {
  const kept = new Map<string, string>()
  storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  } as Storage
})

test('a model is measured once on a machine, and again in another browser or with other options', async () => {
  const first = await machine({ '1×2': 1000, '2×1': 1200 })
  const { choice, report } = await first.choose()
  expect(choice).toMatchObject({ replicas: 2, threads: 1, by: 'measured' })
  expect(choice.candidates).toHaveLength(2)
  expect(report).toBeDefined()
  expect(first.measured).toEqual(['1×2', '2×1'])
  const second = await machine({})
  expect(await second.choose({ ...REQUEST, refresh: true })).toEqual({ choice: { ...choice, by: 'kept' } })
  expect(second.measured).toEqual([])
  const other = await machine({ '1×2': 1000, '2×1': 900 }, { userAgent: 'Browser 2' })
  expect((await other.choose()).choice).toMatchObject({ replicas: 1, threads: 2, by: 'measured' })
  const wider = await machine({ '1×2': 1000, '2×1': 900 })
  expect((await wider.choose({ ...REQUEST, maxRunning: 2 })).choice.by).toBe('measured')
})

test('where memory has no room for more replicas there is one, also of a model that once had two', async () => {
  const small = await machine({ '1×2': 1000, '2×1': 2000 }, { roomBytes: () => 2999 })
  expect((await small.choose()).choice).toMatchObject({ replicas: 1, by: 'measured' })
  expect(small.measured).toEqual(['1×2'])
  const large = await machine({ '1×2': 1000, '2×1': 2000 }, { roomBytes: () => 3000 })
  expect((await large.choose()).choice).toMatchObject({ replicas: 2, by: 'measured' }) // the first one was not kept
  const smallAgain = await machine({}, { roomBytes: () => 2999 })
  expect((await smallAgain.choose()).choice).toMatchObject({ replicas: 1, threads: 2, by: 'kept' })
})

test('a way that fails is not taken, and a model that does not load at all fails', async () => {
  const problem = new EngineError('memory', 'no memory is left')
  const { choose } = await machine({ '1×2': 1000, '2×1': problem })
  const { choice } = await choose()
  expect(choice).toMatchObject({ replicas: 1, candidates: [{}, { problem: 'no memory is left' }] })
  const broken = await machine({ '1×2': problem })
  await expect(broken.choose({ url: 'https://models.test/m/2/' })).rejects.toBe(problem)
})

test('a model on the GPU has one replica, asked for or chosen; where nothing is to share nothing is measured', async () => {
  const chosen = await machine({ '1×2': 1000 }, { device: 'webgpu' })
  expect((await chosen.choose()).choice).toMatchObject({ replicas: 1, by: 'facts' })
  const asked = await machine({})
  expect((await asked.choose({ ...REQUEST, device: 'webgpu' })).choice).toMatchObject({
    replicas: 1,
    by: 'facts',
  })
  const alone = await machine({}, { machine: { cores: 1, crossOriginIsolated: true, threads: undefined } })
  expect((await alone.choose()).choice).toMatchObject({ replicas: 1, threads: 1, by: 'facts' })
  expect(alone.measured).toEqual([])
})

test('where the page may keep nothing, or something else lies there, it is measured again', async () => {
  const closed = new KeptVerdicts(() => {
    throw new Error('denied')
  })
  for (const verdicts of [
    closed,
    new KeptVerdicts(() => ({ getItem: () => '{"candidates":[{}]}', setItem() {} }) as never),
  ]) {
    const { choose, measured } = await machine({ '1×2': 1, '2×1': 2 }, { verdicts })
    await choose()
    await choose()
    expect(measured).toHaveLength(4)
  }
})

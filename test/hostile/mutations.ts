import fc from 'fast-check'

/** What an attacker writes in a number's, a name's or a list's place. */
const HOSTILE: readonly unknown[] = [
  null,
  true,
  '',
  0,
  -1,
  0.5,
  2 ** 31,
  2 ** 53,
  1e308,
  '../../../etc/passwd',
  '/etc/passwd',
  'https://evil.example/x',
  'a\\..\\b',
  'C:x',
  '.',
  '__proto__',
  'constructor',
  'x'.repeat(100_000),
  [],
  {},
  [[[[[[]]]]]],
  JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
  Array.from({ length: 10_000 }, (_, index) => index),
  { __proto__: null, length: 2 ** 32 },
]

/** JSON whose values at one to three places are hostile ones, or which has hostile keys. */
export function mutatedJson(seed: unknown): fc.Arbitrary<unknown> {
  const places = placesOf(seed)
  const edit = fc.record({
    place: fc.constantFrom(...places),
    value: fc.constantFrom(...HOSTILE),
    key: fc.constantFrom(undefined, undefined, '__proto__', 'constructor', 'toString', 'extra'),
  })
  return fc.array(edit, { minLength: 1, maxLength: 3 }).map((edits) => {
    // Through text, as it comes: only so `__proto__` is a field like others.
    let text = JSON.stringify(seed)
    for (const { place, value, key } of edits)
      text = JSON.stringify(replaced(JSON.parse(text), place, value, key))
    return JSON.parse(text) as unknown
  })
}

/** Bytes that are cut off, turned over at some places, or overwritten with the largest and smallest numbers. */
export function mutatedBytes(seed: Uint8Array, within = seed.length): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const at = fc.nat(Math.max(0, Math.min(within, seed.length) - 9))
  const word = fc.constantFrom(0n, 1n, 0x7fffffffn, 0xffffffffn, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n)
  const edit = fc.oneof(
    fc.record({ kind: fc.constant('cut'), at, word }),
    fc.record({ kind: fc.constant('flip'), at, word }),
    fc.record({ kind: fc.constant('word'), at, word }),
  )
  return fc.array(edit, { minLength: 1, maxLength: 4 }).map((edits) => {
    let bytes = Uint8Array.from(seed)
    for (const { kind, at, word } of edits) {
      if (at + 8 > bytes.length) continue
      if (kind === 'cut') bytes = bytes.slice(0, at)
      else if (kind === 'flip') bytes[at]! ^= Number(word & 0xffn) | 1
      else new DataView(bytes.buffer).setBigUint64(at, word, true)
    }
    return bytes
  })
}

type Place = readonly (string | number)[]

/** Ways to the values of JSON, long lists by their first and last entries. */
function placesOf(value: unknown, place: Place = []): Place[] {
  if (typeof value !== 'object' || value === null) return [place]
  const keys = Array.isArray(value)
    ? [0, 1, value.length - 1].filter(
        (at, index, all) => at >= 0 && at < value.length && all.indexOf(at) === index,
      )
    : ends(Object.keys(value))
  return [place, ...keys.flatMap((key) => placesOf((value as Record<string, unknown>)[key], [...place, key]))]
}

function ends(keys: readonly string[]): readonly string[] {
  return keys.length < 100 ? keys : [...keys.slice(0, 20), ...keys.slice(-20)]
}

function replaced(root: unknown, place: Place, value: unknown, key: string | undefined): unknown {
  const last = place.at(-1)
  if (last === undefined) return key === undefined ? value : root
  let holder: unknown = root
  for (const step of place.slice(0, -1)) {
    if (typeof holder !== 'object' || holder === null) return root
    holder = (holder as Record<string, unknown>)[step]
  }
  if (typeof holder !== 'object' || holder === null) return root
  // Not by assignment: `__proto__` is to become a field of its own.
  Object.defineProperty(holder, key ?? last, { value, enumerable: true, configurable: true, writable: true })
  return root
}

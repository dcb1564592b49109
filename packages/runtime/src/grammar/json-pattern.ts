import { refusal } from './schema-refusal.ts'

/** What stands in a JSON string as it is: no quote, no backslash, nothing that must be escaped. */
const UNSAFE = '"\\\\\\x00-\\x1f'
const CLASSES: Readonly<Record<string, string>> = {
  d: '[0-9]',
  w: '[A-Za-z0-9_]',
  s: '[ ]',
  D: `[^0-9${UNSAFE}]`,
  W: `[^A-Za-z0-9_${UNSAFE}]`,
  S: `[^ ${UNSAFE}]`,
}
const PUNCTUATION = /^[^A-Za-z0-9"\\]$/

const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
const LABEL = '[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?'
const DATE =
  '[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))'
const TIME = '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])'
const HEX = '[0-9a-f]'

/** A pattern for each format: all that it matches is valid; of what is valid the usual forms. */
export const FORMAT_PATTERNS: ReadonlyMap<string, string> = new Map([
  ['date', DATE],
  ['time', TIME],
  ['date-time', `${DATE}T${TIME}`],
  ['duration', 'P[0-9]{1,4}(D(T[0-9]{1,2}(H([0-9]{1,2}M)?|M|S))?|W|M|Y)'],
  ['email', `[A-Za-z0-9_+-]{1,20}(\\.[A-Za-z0-9_+-]{1,20}){0,2}@${LABEL}(\\.${LABEL}){0,2}\\.[a-z]{2,6}`],
  ['hostname', `${LABEL}(\\.${LABEL}){0,3}`],
  ['ipv4', `(${OCTET}\\.){3}${OCTET}`],
  ['ipv6', `(${HEX}{1,4}:){7}${HEX}{1,4}`],
  ['uuid', `${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}`],
  ['uri', `https?://${LABEL}(\\.${LABEL}){0,3}(:[1-9][0-9]{1,3})?(/[A-Za-z0-9._~-]+){0,8}/?`],
])

/**
 * An ECMAScript pattern, as far as XGrammar's converter reads one, that matches nothing that would need an escape in JSON: the converter puts what it
 * matches into the string as it is. All of the string must match, as with `^` and `$`; which is less than JSON schema asks, never more.
 * Throws `bad_request`.
 */
export function convertiblePattern(pattern: unknown, path: string): string {
  if (typeof pattern !== 'string') throw refusal(path, '"pattern" is not a string')
  const wrong = (what: string) => refusal(path, `"pattern" ${pattern} ${what}`)
  try {
    new RegExp(pattern, 'u')
  } catch {
    throw wrong('is not a regular expression')
  }
  const bare = pattern.replace(/^\^/, '').replace(/(?<!\\)\$$/, '')
  let depth = 0
  let converted = ''
  for (let at = 0; at < bare.length; at++) {
    const letter = bare[at] ?? ''
    if (letter === '\\') {
      const escaped = bare[++at] ?? ''
      const known = CLASSES[escaped]
      if (known === undefined && !PUNCTUATION.test(escaped))
        throw wrong(`has \\${escaped}, which is not understood`)
      converted += known ?? `\\${escaped}`
    } else if (letter === '[') {
      const end = endOfClass(bare, at)
      const inside = bare.slice(at + 1, end)
      if (/["\\]/.test(inside.replace(/\\[dw.\-\]/+]/g, '')))
        throw wrong(`has [${inside}], which is not understood`)
      converted += inside.startsWith('^') ? `[${inside}${UNSAFE}]` : `[${inside}]`
      at = end
    } else if (letter === '.') converted += `[^${UNSAFE}]`
    else if (letter === '^' || letter === '$') throw wrong(`has ${letter} inside`)
    else if (letter === '"') throw wrong('matches a quote')
    else if (letter === '(' && bare[at + 1] === '?')
      throw wrong(`has ${bare.slice(at, at + 3)}, which is not understood`)
    else {
      if (letter === '(') depth++
      if (letter === ')') depth--
      // The converter would let it end the string.
      if (letter === '|' && depth === 0) return convertiblePattern(`(${bare})`, path)
      converted += letter
    }
  }
  return converted
}

/** Where the class that begins at `start` ends. */
function endOfClass(pattern: string, start: number): number {
  let at = start + 1
  while (pattern[at] !== ']') at += pattern[at] === '\\' ? 2 : 1
  return at
}

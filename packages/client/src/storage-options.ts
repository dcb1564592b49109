import type { StorageConfig } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

type NumberOption = 'budgetBytes' | 'retries' | 'retryBaseMs' | 'retryMaxMs' | 'stallMs' | 'chunkBytes'

/** The least and the largest value of each option that is a whole number. */
const RANGES: Readonly<Record<NumberOption, readonly [least: number, most: number]>> = {
  budgetBytes: [0, Number.MAX_SAFE_INTEGER],
  retries: [0, 100],
  retryBaseMs: [0, 2 ** 31 - 1],
  retryMaxMs: [0, 2 ** 31 - 1],
  stallMs: [1, 2 ** 31 - 1],
  chunkBytes: [2 ** 16, 2 ** 28],
}

/** The options, with allowed origins as browsers write them. Throws `bad_request`. */
export function checkedStorage({ kind, allowedOrigins, ...numbers }: StorageConfig): StorageConfig {
  if (kind !== undefined && !['indexeddb', 'opfs', 'memory'].includes(kind))
    throw new EngineError(
      'bad_request',
      `storage.kind ${String(kind)} is not one of: indexeddb, opfs, memory.`,
    )
  return {
    ...checkedNumbers(numbers),
    ...(kind === undefined ? {} : { kind }),
    ...(allowedOrigins === undefined ? {} : { allowedOrigins: allowedOrigins.map(originOf) }),
  }
}

function checkedNumbers(options: Pick<StorageConfig, NumberOption>): Pick<StorageConfig, NumberOption> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  for (const [name, value] of given) {
    if (!isNumberOption(name)) throw new EngineError('bad_request', `storage has no option ${name}.`)
    const [least, most] = RANGES[name]
    if (Number.isInteger(value) && value >= least && value <= most) continue
    const message = `storage.${name} ${String(value)} must be a whole number from ${least} to ${most}.`
    throw new EngineError('bad_request', message)
  }
  return Object.fromEntries(given)
}

function isNumberOption(name: string): name is NumberOption {
  return Object.hasOwn(RANGES, name)
}

function originOf(address: string): string {
  if (URL.canParse(address, location.href)) return new URL(address, location.href).origin
  throw new EngineError('bad_request', `storage.allowedOrigins: ${JSON.stringify(address)} is not an origin.`)
}

import type { StorageConfig } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** The options, with allowed origins as browsers write them. Throws `bad_request`. */
export function checkedStorage({
  kind,
  budgetBytes,
  allowedOrigins,
  ...unknown
}: StorageConfig): StorageConfig {
  const [name] = Object.keys(unknown)
  if (name !== undefined) throw new EngineError('bad_request', `storage has no option ${name}.`)
  if (kind !== undefined && !['indexeddb', 'opfs', 'memory'].includes(kind))
    throw new EngineError(
      'bad_request',
      `storage.kind ${String(kind)} is not one of: indexeddb, opfs, memory.`,
    )
  if (budgetBytes !== undefined && !(Number.isSafeInteger(budgetBytes) && budgetBytes >= 0))
    throw new EngineError(
      'bad_request',
      `storage.budgetBytes ${String(budgetBytes)} must be a whole number of bytes.`,
    )
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(budgetBytes === undefined ? {} : { budgetBytes }),
    ...(allowedOrigins === undefined ? {} : { allowedOrigins: allowedOrigins.map(originOf) }),
  }
}

function originOf(address: string): string {
  if (URL.canParse(address, location.href)) return new URL(address, location.href).origin
  throw new EngineError('bad_request', `storage.allowedOrigins: ${JSON.stringify(address)} is not an origin.`)
}

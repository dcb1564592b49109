import type { Fields } from './fields.ts'
import { flagField, readFields, wrong } from './fields.ts'

/** Whether a stream ends with a chunk of usage. Obfuscation is against listeners on a wire that we do not have. */
export function wantsUsage(fields: Fields): boolean {
  const { stream_options: options } = fields
  if (options === undefined) return false
  if (fields['stream'] !== true) throw wrong('stream_options', 'needs stream: true.')
  return flagField(
    readFields(options, { include_usage: 'used', include_obfuscation: 'ignored' }, 'stream_options'),
    'include_usage',
  )
}

import type { BatchingOptions, PaddingOptions, QueuePolicy } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { checkBoolean, checkNumber, checkOneOf, checkString, isList, refusal } from '../check-option.ts'

export const MAX_BATCH_SIZE = 32
const MOST_ROWS = 4096

/** `BatchingOptions`, checked and filled in. */
export interface Batching {
  readonly maxBatchSize: number
  /** Falling. */
  readonly preferredBatchSizes: readonly number[]
  readonly maxQueueDelayMs: number
  readonly preserveOrdering: boolean
  readonly padding: PaddingOptions | false | undefined
  readonly batchDimension: string | null | undefined
  readonly canBatch: string | undefined
  policyOf(priority: number): Policy
}

/** `QueuePolicy`, filled in; `Infinity`: none. */
export interface Policy {
  readonly maxSize: number
  readonly timeoutMs: number
  readonly timeoutAction: 'reject' | 'delay'
}

/** Throws `bad_request` that names the first wrong option. @param maxWaiting requests of a priority that may wait where no policy says. */
export function resolveBatching(options: BatchingOptions, maxWaiting: number): Batching {
  const {
    maxBatchSize,
    preferredBatchSizes = [],
    maxQueueDelayMs,
    preserveOrdering,
    padding,
    batchDimension,
    canBatch,
    queue,
    priorityQueues = {},
    ...unknown
  } = options
  refuseUnknown(unknown, 'batching')
  const most = checkNumber('batching.maxBatchSize', maxBatchSize, ROWS, isRows) ?? MAX_BATCH_SIZE
  if (!isList(preferredBatchSizes) || !preferredBatchSizes.every((size) => isRows(size) && size <= most))
    throw refusal('batching.preferredBatchSizes', preferredBatchSizes, `a list of sizes up to ${most}`)
  const general = policy('batching.queue', queue, maxWaiting)
  const own = new Map(
    Object.entries(priorityQueues).map(([priority, each]) => [
      Number(priority),
      policy(`batching.priorityQueues.${priority}`, each, maxWaiting),
    ]),
  )
  return {
    maxBatchSize: most,
    preferredBatchSizes: preferredBatchSizes.toSorted((a, b) => b - a),
    maxQueueDelayMs: checkNumber('batching.maxQueueDelayMs', maxQueueDelayMs, MS, (ms) => ms >= 0) ?? 0,
    preserveOrdering: checkBoolean('batching.preserveOrdering', preserveOrdering) ?? false,
    padding: checkPadding(padding),
    batchDimension: batchDimension === null ? null : checkString('batching.batchDimension', batchDimension),
    canBatch: checkString('batching.canBatch', canBatch),
    policyOf: (priority) => own.get(priority) ?? general,
  }
}

const ROWS = `a whole number from 1 to ${MOST_ROWS}`
const MS = 'a number of milliseconds'

function isRows(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MOST_ROWS
}

function policy(name: string, given: QueuePolicy = {}, maxWaiting: number): Policy {
  const { maxSize, timeoutMs, timeoutAction, ...unknown } = given
  refuseUnknown(unknown, name)
  return {
    maxSize:
      checkNumber(
        `${name}.maxSize`,
        maxSize,
        'a whole number',
        (size) => Number.isInteger(size) && size >= 0,
      ) ?? maxWaiting,
    timeoutMs: checkNumber(`${name}.timeoutMs`, timeoutMs, `${MS} above 0`, (ms) => ms > 0) ?? Infinity,
    timeoutAction: checkOneOf(`${name}.timeoutAction`, timeoutAction, ['reject', 'delay']) ?? 'reject',
  }
}

function checkPadding(padding: BatchingOptions['padding']): PaddingOptions | false | undefined {
  if (padding === undefined || padding === false) return padding
  const { dimension, values: _, buckets = [], ...unknown } = padding
  refuseUnknown(unknown, 'batching.padding')
  if (typeof dimension !== 'string') throw refusal('batching.padding.dimension', dimension, 'a name')
  const isRising =
    isList(buckets) && buckets.every((size, at) => isCount(size) && size > (buckets[at - 1] ?? 0))
  if (!isRising) throw refusal('batching.padding.buckets', buckets, 'a rising list of lengths')
  return padding
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

/** Throws `bad_request`. */
export function refuseUnknown(unknown: object, where: string): void {
  const [option] = Object.keys(unknown)
  if (option === undefined) return
  throw new EngineError('bad_request', `${where} has no option ${option}.`, { param: `${where}.${option}` })
}

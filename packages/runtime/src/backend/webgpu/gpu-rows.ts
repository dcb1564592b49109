import type { DecoderGraph, GpuFacts } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { RowRoom } from '../runner-options.ts'
import { rowBytes } from '../runner-options.ts'
import type { GpuLoad } from './gpu-messages.ts'

/** Halves the rows until there is room for them. Throws `memory` where there is none for one. */
export async function withRows<T>(
  most: RowRoom,
  create: (room: RowRoom) => Promise<T>,
): Promise<{ readonly runner: T; readonly room: RowRoom }> {
  for (let { rows } = most; ; rows = Math.floor(rows / 2)) {
    const room = { ...most, rows }
    try {
      return { runner: await create(room), room }
    } catch (error) {
      const isTight = error instanceof EngineError && error.code === 'memory'
      if (!isTight || rows === 1) throw error
    }
  }
}

/** As many rows as one binding holds of one layer's keys. */
export function withinBindings(
  graph: DecoderGraph,
  room: RowRoom,
  { maxBindingBytes }: GpuFacts,
  kvType: GpuLoad['kvType'],
): RowRoom {
  const cacheBytes = rowBytes(graph, room.contextLength, kvType) / (2 * graph.layers)
  const rows = Math.min(room.rows, Math.floor(maxBindingBytes / cacheBytes))
  if (rows >= 1) return { ...room, rows }
  const message = `One row of ${room.contextLength} positions takes ${cacheBytes} bytes a layer, and the GPU binds ${maxBindingBytes}. Lower contextLength.`
  throw new EngineError('bad_request', message)
}

import type { LoadProgress, ModelInfo } from '@tabserve/protocol'
import { toWireError, timeMs } from '@tabserve/protocol'
import type { Telemetry } from './telemetry.ts'

/** Runs a load and tells how it goes: that it begins, which device is chosen, what it cost or why it failed. */
export async function tellOfLoad(
  telemetry: Telemetry,
  url: string,
  onProgress: (progress: LoadProgress) => void,
  load: (onProgress: (progress: LoadProgress) => void) => Promise<ModelInfo>,
): Promise<ModelInfo> {
  const { worker } = telemetry
  telemetry.tell({ type: 'model-load', timeMs: timeMs(), worker, url })
  try {
    const info = await load((progress) => {
      onProgress(progress)
      if (progress.type === 'load-progress' && progress.phase === 'device')
        telemetry.tell({ type: 'device-choice', timeMs: timeMs(), worker, url, choice: progress.choice })
    })
    tellOfReady(telemetry, info)
    return info
  } catch (error) {
    const { code } = toWireError(error, 'backend_failed')
    telemetry.tell({ type: 'model-failed', timeMs: timeMs(), worker, url, error: code })
    throw error
  }
}

export function tellOfUnload(telemetry: Telemetry, model: string): void {
  telemetry.tell({ type: 'model-unload', timeMs: timeMs(), worker: telemetry.worker, model })
}

function tellOfReady(telemetry: Telemetry, info: ModelInfo): void {
  const { id: model, url, runner, choice, threads, load, kvType, kvBytes, heapBytes, manifest } = info
  telemetry.tell({
    type: 'model-ready',
    timeMs: timeMs(),
    worker: telemetry.worker,
    model,
    url,
    runner,
    device: choice.device,
    threads,
    load,
    kvType,
    fileBytes: manifest.files.reduce((sum, { bytes }) => sum + bytes, 0),
    kvBytes,
    ...(heapBytes === undefined ? {} : { heapBytes }),
  })
}

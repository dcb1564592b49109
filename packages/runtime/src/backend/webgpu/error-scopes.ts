const FILTERS = ['validation', 'out-of-memory', 'internal'] as const

/**
 * Runs commands so that what the device says against them rejects. Without scopes a wrong command changes nothing, throws nothing, and what is computed
 * afterwards is simply wrong.
 */
export async function scoped<T>(device: GPUDevice, work: () => Promise<T>): Promise<T> {
  for (const filter of FILTERS) device.pushErrorScope(filter)
  let popped: Promise<GPUError | null>[] = []
  let result: T
  try {
    result = await work()
  } finally {
    popped = FILTERS.map(() => device.popErrorScope())
  }
  for (const error of await Promise.all(popped)) if (error !== null) throw new GpuFailure(error)
  return result
}

/** A command that the device refused. */
export class GpuFailure extends Error {
  readonly isOutOfMemory: boolean

  constructor(error: GPUError) {
    super(`the GPU refused a command: ${error.message}`)
    this.isOutOfMemory = error instanceof GPUOutOfMemoryError
  }
}

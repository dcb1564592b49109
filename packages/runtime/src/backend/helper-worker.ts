import { isKernelThread, serveAsThread } from './kernels/kernel-thread.ts'
import { isGpuWorker, serveAsGpuWorker } from './webgpu/gpu-worker.ts'

/** Whether this worker helps another one, whose file it runs too: it then serves that one, and its entry file has nothing left to do. */
export function servesAsHelper(): boolean {
  if (isKernelThread()) serveAsThread()
  else if (isGpuWorker()) serveAsGpuWorker()
  else return false
  return true
}

import { isKernelThread, serveAsThread } from './backend/kernels/kernel-thread.ts'
import { isGpuWorker, serveAsGpuWorker } from './backend/webgpu/gpu-worker.ts'
import { isGrammarWorker, serveGrammars } from './grammar/grammar-worker.ts'

/** Whether this worker helps another one, whose file it runs too: it then serves that one, and its entry file has nothing left to do. */
export function servesAsHelper(): boolean {
  if (isKernelThread()) serveAsThread()
  else if (isGpuWorker()) serveAsGpuWorker()
  else if (isGrammarWorker()) serveGrammars()
  else return false
  return true
}

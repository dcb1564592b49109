import { batching } from './batching.ts'
import { context } from './context.ts'
import { control } from './control.ts'
import { convert } from './convert.ts'
import { doors } from './doors.ts'
import type { Suite } from './figure.ts'
import { kernels } from './kernels.ts'
import { peers } from './peers.ts'
import { sampling } from './sampling.ts'
import { soak } from './soak.ts'
import { tasks } from './tasks.ts'
import { webgpu } from './webgpu.ts'
import { weights } from './weights.ts'

/** Every benchmark of the repository, by the name that `npm run bench -- NAME` takes. */
export const SUITES: Readonly<Record<string, Suite>> = {
  batching,
  context,
  control,
  convert,
  doors,
  kernels,
  peers,
  sampling,
  soak,
  tasks,
  webgpu,
  weights,
}

import { attentionChecks } from './attention.ts'
import { functionChecks } from './functions.ts'
import { productChecks } from './products.ts'
import type { Workspace } from './workspace.ts'

export { Workspace } from './workspace.ts'

/**
 * What every build of the kernels promises: each function against a slow float64 reference, odd shapes included. A check throws where a
 * promise is not kept. Plain code, so that it runs in a page as in Node; each check wants a workspace of its own.
 */
export const KERNEL_CHECKS: Readonly<Record<string, (workspace: Workspace) => void>> = {
  ...productChecks,
  ...functionChecks,
  ...attentionChecks,
}

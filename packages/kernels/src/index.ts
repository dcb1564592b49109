export type * from './exports.ts'
export { ACTIVATION, KV_KIND, MATRIX_KIND } from './exports.ts'
export { KERNEL_VARIANTS, chooseKernels } from './variant.ts'
export type { KernelVariant } from './variant.ts'

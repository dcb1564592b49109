/** The builds there are: with relaxed SIMD or without, for memory that threads share or not. */
export const KERNEL_VARIANTS = ['plain', 'relaxed', 'plain-threads', 'relaxed-threads'] as const

export type KernelVariant = (typeof KERNEL_VARIANTS)[number]

/** The best build for this engine. `undefined` where it has no SIMD at all. */
export function chooseKernels(threads: number): KernelVariant | undefined {
  if (!WebAssembly.validate(SIMD)) return undefined
  const isRelaxed = WebAssembly.validate(RELAXED_SIMD)
  if (threads > 1) return isRelaxed ? 'relaxed-threads' : 'plain-threads'
  return isRelaxed ? 'relaxed' : 'plain'
}

/** (module (func (result v128) …)): one function that pushes vectors, applies one instruction and returns. */
function moduleWith(...instruction: readonly number[]): Uint8Array<ArrayBuffer> {
  const zero = [0xfd, 0x0c, ...new Array<number>(16).fill(0)]
  const body = [0, ...zero, ...zero, ...instruction, 0x0b]
  const code = [1, body.length, ...body]
  const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
  return Uint8Array.of(...header, 1, 5, 1, 0x60, 0, 1, 0x7b, 3, 2, 1, 0, 10, code.length, ...code)
}

/** v128.and */
const SIMD = moduleWith(0xfd, 0x4e)
/** i16x8.relaxed_dot_i8x16_i7x16_s */
const RELAXED_SIMD = moduleWith(0xfd, 0x92, 0x02)

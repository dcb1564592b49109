/** WebGPU's flags by their values in the specification: TypeScript's library has the interfaces and not the constants. */
export const USAGE = {
  mapRead: 0x0001,
  copySource: 0x0004,
  copyTarget: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
} as const

export const MAP_READ = 0x0001

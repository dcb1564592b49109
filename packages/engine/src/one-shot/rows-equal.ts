import type { Tensors } from '@tabserve/protocol'

/** Kernels add in another order for other sizes. */
const TOLERANCE = 2e-3

/** Whether two computations of one item are the same but for rounding: whole numbers exactly, others within a share of the largest value. */
export function rowsEqual(one: Tensors, other: Tensors): boolean {
  return Object.entries(one).every(([name, { datatype, data }]) => {
    const against = other[name]?.data
    if (against?.length !== data.length) return false
    const isReal = datatype === 'FP32' || datatype === 'FP64' || datatype === 'FP16'
    const valueOf =
      datatype === 'FP16' ? (bits: unknown) => halfToNumber(Number(bits)) : (value: unknown) => value
    const allowed = isReal ? TOLERANCE * largest(data, valueOf) : 0
    for (let index = 0; index < data.length; index++) {
      const [left, right] = [valueOf(data[index]), valueOf(against[index])]
      if (left === right) continue
      if (typeof left !== 'number' || typeof right !== 'number') return false
      if (Number.isNaN(left) && Number.isNaN(right)) continue
      if (!(Math.abs(left - right) <= allowed)) return false
    }
    return true
  })
}

function largest(data: ArrayLike<unknown>, valueOf: (value: unknown) => unknown): number {
  let most = 1e-6
  for (let index = 0; index < data.length; index++) {
    const value = Math.abs(Number(valueOf(data[index])))
    if (value > most && value < Infinity) most = value
  }
  return most
}

function halfToNumber(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023]
  const sign = bits & 0x8000 ? -1 : 1
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15))
}

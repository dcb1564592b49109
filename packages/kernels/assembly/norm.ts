import { madd, sumLanes } from './simd'

/** y[i] = x[i] · weight[i] / √(mean(x²) + epsilon), f32 [size], size a multiple of 2 (arXiv:1910.07467). In place where `to` is `from`. */
export function rmsNorm(from: usize, weight: usize, size: i32, epsilon: f32, to: usize): void {
  const whole = (<usize>(size & -4)) << 2
  const end = (<usize>size) << 2
  let squares = f32x4.splat(0)
  for (let at: usize = 0; at < whole; at += 16) {
    const x = v128.load(from + at)
    squares = madd(x, x, squares)
  }
  let sum = sumLanes(squares)
  for (let at = whole; at < end; at += 4) sum += load<f32>(from + at) * load<f32>(from + at)
  const factor: f32 = 1 / sqrt<f32>(sum / <f32>size + epsilon)
  for (let at: usize = 0; at < whole; at += 16) {
    const scaled = f32x4.mul(v128.load(from + at), f32x4.splat(factor))
    v128.store(to + at, f32x4.mul(scaled, v128.load(weight + at)))
  }
  for (let at = whole; at < end; at += 4)
    store<f32>(to + at, load<f32>(from + at) * factor * load<f32>(weight + at))
}

/** x[i] += y[i], f32 [size]. */
export function add(to: usize, from: usize, size: i32): void {
  const whole = (<usize>(size & -4)) << 2
  for (let at: usize = 0; at < whole; at += 16)
    v128.store(to + at, f32x4.add(v128.load(to + at), v128.load(from + at)))
  for (let at = whole; at < (<usize>size) << 2; at += 4)
    store<f32>(to + at, load<f32>(to + at) + load<f32>(from + at))
}

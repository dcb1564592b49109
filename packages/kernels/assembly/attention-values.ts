import { BLOCK_TOKENS, load4 } from './kv-cache'
import { madd } from './simd'

/** out += Σ_p weights[p] · values[p] for positions `from` to `end` of a block. Others are not read: what was left there may be no number. */
export function addValues<T>(
  values: usize,
  size: i32,
  weights: usize,
  from: i32,
  end: i32,
  out: usize,
): void {
  const scales = values + <usize>(size * BLOCK_TOKENS)
  let column = 0
  for (; column + 32 <= size; column += 32)
    addColumns<T>(8, values, size, weights, scales, from, end, column, out)
  for (; column < size; column += 8) addColumns<T>(2, values, size, weights, scales, from, end, column, out)
}

/** Four times `vectors` columns, 2 or 8, a constant where this is called. */
@inline
function addColumns<T>(
  vectors: i32,
  values: usize,
  size: i32,
  weights: usize,
  scales: usize,
  from: i32,
  end: i32,
  column: i32,
  out: usize,
): void {
  const to = out + ((<usize>column) << 2)
  const step = 4 * sizeof<T>()
  let a = v128.load(to)
  let b = v128.load(to, 16)
  let c = a
  let d = a
  let e = a
  let f = a
  let g = a
  let h = a
  if (vectors > 2) {
    c = v128.load(to, 32)
    d = v128.load(to, 48)
    e = v128.load(to, 64)
    f = v128.load(to, 80)
    g = v128.load(to, 96)
    h = v128.load(to, 112)
  }
  for (let slot = <usize>from; slot < <usize>end; slot++) {
    const weight = weightOf<T>(weights + (slot << 2), scales, slot)
    const value = values + (slot * size + column) * sizeof<T>()
    a = madd(weight, load4<T>(value), a)
    b = madd(weight, load4<T>(value + step), b)
    if (vectors > 2) {
      c = madd(weight, load4<T>(value + 2 * step), c)
      d = madd(weight, load4<T>(value + 3 * step), d)
      e = madd(weight, load4<T>(value + 4 * step), e)
      f = madd(weight, load4<T>(value + 5 * step), f)
      g = madd(weight, load4<T>(value + 6 * step), g)
      h = madd(weight, load4<T>(value + 7 * step), h)
    }
  }
  v128.store(to, a)
  v128.store(to, b, 16)
  if (vectors > 2) {
    v128.store(to, c, 32)
    v128.store(to, d, 48)
    v128.store(to, e, 64)
    v128.store(to, f, 80)
    v128.store(to, g, 96)
    v128.store(to, h, 112)
  }
}

/**
 * The same for `N` rows, two or three: a value is loaded once for all of them. Their weights lie `stride` bytes apart.
 * `size` is a multiple of 16.
 */
export function addRows<T, N>(
  values: usize,
  size: i32,
  weights: usize,
  stride: usize,
  from: i32,
  end: i32,
  out: usize,
  out2: usize,
  out3: usize,
): void {
  const scales = values + <usize>(size * BLOCK_TOKENS)
  const step = 4 * sizeof<T>()
  for (let column: usize = 0; column < <usize>size; column += 16) {
    const at = column << 2
    let a0 = v128.load(out + at)
    let a1 = v128.load(out + at, 16)
    let a2 = v128.load(out + at, 32)
    let a3 = v128.load(out + at, 48)
    let b0 = v128.load(out2 + at)
    let b1 = v128.load(out2 + at, 16)
    let b2 = v128.load(out2 + at, 32)
    let b3 = v128.load(out2 + at, 48)
    let c0 = b0
    let c1 = b0
    let c2 = b0
    let c3 = b0
    if (offsetof<N>() > 2) {
      c0 = v128.load(out3 + at)
      c1 = v128.load(out3 + at, 16)
      c2 = v128.load(out3 + at, 32)
      c3 = v128.load(out3 + at, 48)
    }
    for (let slot = <usize>from; slot < <usize>end; slot++) {
      const value = values + (slot * <usize>size + column) * sizeof<T>()
      const v0 = load4<T>(value)
      const v1 = load4<T>(value + step)
      const v2 = load4<T>(value + 2 * step)
      const v3 = load4<T>(value + 3 * step)
      const place = weights + (slot << 2)
      let x = weightOf<T>(place, scales, slot)
      a0 = madd(x, v0, a0)
      a1 = madd(x, v1, a1)
      a2 = madd(x, v2, a2)
      a3 = madd(x, v3, a3)
      x = weightOf<T>(place + stride, scales, slot)
      b0 = madd(x, v0, b0)
      b1 = madd(x, v1, b1)
      b2 = madd(x, v2, b2)
      b3 = madd(x, v3, b3)
      if (offsetof<N>() > 2) {
        x = weightOf<T>(place + stride + stride, scales, slot)
        c0 = madd(x, v0, c0)
        c1 = madd(x, v1, c1)
        c2 = madd(x, v2, c2)
        c3 = madd(x, v3, c3)
      }
    }
    put(out + at, a0, a1, a2, a3)
    put(out2 + at, b0, b1, b2, b3)
    if (offsetof<N>() > 2) put(out3 + at, c0, c1, c2, c3)
  }
}

/** An int8 value's scale goes into its weight. */
@inline
function weightOf<T>(weight: usize, scales: usize, slot: usize): v128 {
  const x = v128.load_splat<f32>(weight)
  return sizeof<T>() == 1 ? f32x4.mul(x, v128.load_splat<f32>(scales + (slot << 2))) : x
}


@inline
function put(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  v128.store(to, a)
  v128.store(to, b, 16)
  v128.store(to, c, 32)
  v128.store(to, d, 48)
}

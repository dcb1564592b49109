import { madd } from './simd'

/** e^x per lane, to 2 ulp: 2^n · e^r with n = round(x / ln 2), r by a polynomial (Cephes expf). Below −87.3 it is 0, above 88.3 clamped. */
@inline
export function exp4(x: v128): v128 {
  const clamped = f32x4.min(f32x4.max(x, f32x4.splat(-87.3)), f32x4.splat(88.3))
  const n = f32x4.nearest(f32x4.mul(clamped, f32x4.splat(1.4426950408889634)))
  let r = madd(n, f32x4.splat(-0.693359375), clamped)
  r = madd(n, f32x4.splat(2.1219444e-4), r)
  let p = madd(f32x4.splat(1.98756915e-4), r, f32x4.splat(1.3981999507e-3))
  p = madd(p, r, f32x4.splat(8.3334519073e-3))
  p = madd(p, r, f32x4.splat(4.1665795894e-2))
  p = madd(p, r, f32x4.splat(1.6666665459e-1))
  p = madd(p, r, f32x4.splat(5.0000001201e-1))
  p = f32x4.add(madd(p, f32x4.mul(r, r), r), f32x4.splat(1))
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23)
  return v128.and(f32x4.mul(p, power), f32x4.ge(x, f32x4.splat(-87.3)))
}

/** tanh(x) per lane: 1 − 2 / (e^2x + 1). */
@inline
export function tanh4(x: v128): v128 {
  const one = f32x4.splat(1)
  const power = exp4(f32x4.add(x, x))
  return f32x4.sub(one, f32x4.div(f32x4.splat(2), f32x4.add(power, one)))
}

/** x = cap · tanh(x / cap) on `count` floats in place (Gemma 2's soft cap). */
export function softcap(at: usize, count: i32, cap: f32): void {
  const end = at + ((<usize>count) << 2)
  for (; at + 16 <= end; at += 16) v128.store(at, capped(v128.load(at), cap))
  for (; at < end; at += 4) store<f32>(at, f32x4.extract_lane(capped(v128.load_splat<f32>(at), cap), 0))
}


@inline
function capped(x: v128, cap: f32): v128 {
  return f32x4.mul(f32x4.splat(cap), tanh4(f32x4.div(x, f32x4.splat(cap))))
}

import { exp4, tanh4 } from './exponential'

/** The function on the gate; `src/exports.ts` has the same numbers. */
export namespace Activation {
  export const silu: i32 = 0
  export const geluTanh: i32 = 1
}

/** gate[i] = f(gate[i]) · up[i], f32, SwiGLU or GeGLU (arXiv:2002.05202). `count` is rounded up to 4: what lies behind must be zero. */
export function applyGate(activation: i32, gate: usize, up: usize, count: i32): void {
  const end = gate + ((<usize>count) << 2)
  for (; gate < end; gate += 16, up += 16) {
    const x = v128.load(gate)
    v128.store(gate, f32x4.mul(activation == Activation.silu ? silu(x) : geluTanh(x), v128.load(up)))
  }
}

/** x / (1 + e^−x) */
@inline
function silu(x: v128): v128 {
  return f32x4.div(x, f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))))
}

/** x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))) */
@inline
function geluTanh(x: v128): v128 {
  const cubic = f32x4.mul(f32x4.mul(x, x), f32x4.mul(x, f32x4.splat(0.044715)))
  const inner = f32x4.mul(f32x4.splat(0.7978845608028654), f32x4.add(x, cubic))
  return f32x4.mul(f32x4.mul(x, f32x4.splat(0.5)), f32x4.add(f32x4.splat(1), tanh4(inner)))
}

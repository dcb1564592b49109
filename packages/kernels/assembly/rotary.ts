/**
 * Turns the pairs (x[i], x[i + size/2]) of one head by the angles of a position (RoFormer, arXiv:2104.09864), in place.
 * @param cos, sin f32 [size/2], the position's row of the model's tables: every kind of scaling is in them. `size` a multiple of 8.
 */
export function rotate(at: usize, size: i32, cos: usize, sin: usize): void {
  const half = (<usize>size) << 1
  for (let i: usize = 0; i < half; i += 16) {
    const x = v128.load(at + i)
    const y = v128.load(at + half + i)
    const c = v128.load(cos + i)
    const s = v128.load(sin + i)
    v128.store(at + i, f32x4.sub(f32x4.mul(x, c), f32x4.mul(y, s)))
    v128.store(at + half + i, f32x4.add(f32x4.mul(y, c), f32x4.mul(x, s)))
  }
}

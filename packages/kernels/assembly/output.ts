/**
 * Writes eight neighbouring outputs of one token. The last panel of a matrix may have fewer; what would lie behind the matrix is
 * not written, for the next token's outputs lie there.
 */
@inline
export function put(to: usize, low: v128, high: v128, rowsLeft: i32): void {
  if (rowsLeft >= 8) {
    v128.store(to, low)
    v128.store(to, high, 16)
  } else putSome(to, low, high, rowsLeft)
}

function putSome(to: usize, low: v128, high: v128, rowsLeft: i32): void {
  store<f32>(to, f32x4.extract_lane(low, 0))
  if (rowsLeft > 1) store<f32>(to, f32x4.extract_lane(low, 1), 4)
  if (rowsLeft > 2) store<f32>(to, f32x4.extract_lane(low, 2), 8)
  if (rowsLeft > 3) store<f32>(to, f32x4.extract_lane(low, 3), 12)
  if (rowsLeft > 4) store<f32>(to, f32x4.extract_lane(high, 0), 16)
  if (rowsLeft > 5) store<f32>(to, f32x4.extract_lane(high, 1), 20)
  if (rowsLeft > 6) store<f32>(to, f32x4.extract_lane(high, 2), 24)
}

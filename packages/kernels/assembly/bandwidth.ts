/** Reads `bytes` bytes, a multiple of 64, and adds them up: the floor under what reads as much and computes too. For benchmarks. */
export function readAll(from: usize, bytes: i32): i32 {
  let a = i32x4.splat(0)
  let b = a
  let c = a
  let d = a
  for (const end = from + <usize>bytes; from < end; from += 64) {
    a = i32x4.add(a, v128.load(from))
    b = i32x4.add(b, v128.load(from, 16))
    c = i32x4.add(c, v128.load(from, 32))
    d = i32x4.add(d, v128.load(from, 48))
  }
  return i32x4.extract_lane(i32x4.add(i32x4.add(a, b), i32x4.add(c, d)), 0)
}

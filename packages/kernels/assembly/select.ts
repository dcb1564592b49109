/**
 * The `top` largest of `count` logits: their ids, ascending, and their values. Of equal ones at the edge the lowest ids are taken; NaN
 * never is. Where fewer are left, the rest has id −1 and no number as its value.
 * @param ids i32 [top], values f32 [top]
 */
export function selectTop(logits: usize, count: i32, top: i32, ids: usize, values: usize): void {
  let found = 0
  let least: f32 = -Infinity
  for (let id = 0; id < count;) {
    // Nothing below the least of a full list can get in: whole vectors are passed over.
    if (found == top && id + 4 <= count) {
      const four = v128.load(logits + ((<usize>id) << 2))
      if (!v128.any_true(f32x4.gt(four, f32x4.splat(least)))) {
        id += 4
        continue
      }
    }
    const value = load<f32>(logits + ((<usize>id) << 2))
    if (value == value && (found < top || value > least)) {
      if (found == top) found = dropLeast(ids, values, found)
      store<i32>(ids + ((<usize>found) << 2), id)
      store<f32>(values + ((<usize>found) << 2), value)
      found++
      if (found == top) least = leastOf(values, found)
    }
    id++
  }
  for (; found < top; found++) {
    store<i32>(ids + ((<usize>found) << 2), -1)
    store<f32>(values + ((<usize>found) << 2), NaN)
  }
}

/** Takes out the smallest value, of equal ones the last: it has the highest id. The order stays. */
function dropLeast(ids: usize, values: usize, found: i32): i32 {
  const least = leastOf(values, found)
  let at = found - 1
  while (load<f32>(values + ((<usize>at) << 2)) != least) at--
  for (; at + 1 < found; at++) {
    store<i32>(ids + ((<usize>at) << 2), load<i32>(ids + ((<usize>at) << 2), 4))
    store<f32>(values + ((<usize>at) << 2), load<f32>(values + ((<usize>at) << 2), 4))
  }
  return found - 1
}

function leastOf(values: usize, found: i32): f32 {
  let least: f32 = Infinity
  for (let at = 0; at < found; at++) least = min(least, load<f32>(values + ((<usize>at) << 2)))
  return least
}

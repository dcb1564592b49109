/*
 * Numbers as types: a generic function is compiled once for each, with branches on `offsetof<N>()` already taken. Such a function stays a
 * function of its own, which matters: where several were inlined into one, browsers ran out of registers and products took up to twice as long.
 */

@unmanaged
export class One {
  a: u8
}


@unmanaged
export class Two {
  a: u8
  b: u8
}


@unmanaged
export class Three {
  a: u8
  b: u8
  c: u8
}


@unmanaged
export class Four {
  a: u8
  b: u8
  c: u8
  d: u8
}

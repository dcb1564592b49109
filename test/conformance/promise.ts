/** Throws where a promise is broken. */
export function expect(kept: boolean, promise: string): void {
  if (!kept) throw new Error(`the store does not keep its promise: ${promise}`)
}

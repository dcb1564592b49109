/** Where the reader of an answer puts what it finds, in order. */
export interface CallSink {
  text(text: string): void
  /** What the model thinks. */
  reasoning(text: string): void
  /** A call begins; its arguments follow, piece by piece. */
  call(name: string): void
  arguments(text: string): void
}

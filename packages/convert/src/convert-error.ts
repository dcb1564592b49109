/** A file of the source that is the reason: it is not there, or it is cut off or not what its name says. */
export interface SourceFault {
  readonly kind: 'missing' | 'damaged'
  readonly file: string
}

/** What a person did or gave that cannot be converted: one line, shown without a stack, exit code 1. */
export class ConvertError extends Error {
  override readonly name = 'ConvertError'
  readonly fault: SourceFault | undefined

  constructor(message: string, fault?: SourceFault) {
    super(message)
    this.fault = fault
  }
}

/** A wrong command line: the line is followed by the usage, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

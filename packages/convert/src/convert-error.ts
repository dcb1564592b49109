/** A file of the source that is the reason: it is not there, or it is cut off or not what its name says. */
export interface SourceFault {
  readonly kind: 'missing' | 'damaged'
  readonly file: string
}

const LONGEST_MESSAGE = 2000

/** What a person did or gave that cannot be converted: one line, shown without a stack, exit code 1. */
export class ConvertError extends Error {
  override readonly name = 'ConvertError'
  readonly fault: SourceFault | undefined

  constructor(message: string, fault?: SourceFault) {
    // Messages quote what they are about, and a hostile file has names of any length.
    super(message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE - 1)}…` : message)
    this.fault = fault
  }
}

/** A wrong command line: the line is followed by the usage, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

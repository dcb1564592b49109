/** What a person did or gave that cannot be converted: one line, shown without a stack, exit code 1. */
export class ConvertError extends Error {
  override readonly name = 'ConvertError'
}

/** A wrong command line: the line is followed by the usage, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** How a family's calls look to a grammar: `open`, calls between separators, `close`; each call is `begin(name)`, the JSON of its arguments, `end`. */
export interface CallSyntax {
  readonly open: string
  readonly begin: (name: string) => string
  readonly end: string
  readonly separator: string
  readonly close: string
  /** What an answer in text may not hold: behind it nothing but a call follows. */
  readonly trigger: string
}

/** A list of JSON objects behind a marker. */
export function listSyntax(marker: string, close = ''): CallSyntax {
  return {
    open: `${marker}[`,
    begin: (name) => `{"name": ${JSON.stringify(name)}, "arguments": `,
    end: '}',
    separator: ', ',
    close: `]${close}`,
    trigger: marker,
  }
}

/** By what a server tells one state of a file from another. */
export interface Validator {
  /** A strong one: weak ones do not promise the same bytes. */
  readonly etag?: string
  readonly lastModified?: string
}

/** Reads an answer's validator. Other origins show `ETag` only where they expose it, `Last-Modified` always. */
export function validatorOf(header: (name: string) => string | null): Validator {
  const etag = header('etag')
  const lastModified = header('last-modified')
  return {
    ...(etag === null || etag.startsWith('W/') ? {} : { etag }),
    ...(lastModified === null ? {} : { lastModified }),
  }
}

/** The version of a file that the first answer of a download showed, which later ones are held against. */
export class FileVersion {
  #known: Validator | undefined

  /** For `If-Range`; `undefined` while nothing is known. */
  get condition(): string | undefined {
    return this.#known?.etag ?? this.#known?.lastModified
  }

  /**
   * Whether an answer may be of the version that is known. Both signs must speak against it where both are there: servers behind one address
   * may give one file different tags, and the hash decides anyway.
   */
  admits(found: Validator): boolean {
    const known = (this.#known ??= found)
    const verdicts = (['etag', 'lastModified'] as const)
      .filter((sign) => known[sign] !== undefined && found[sign] !== undefined)
      .map((sign) => known[sign] === found[sign])
    return verdicts.length === 0 || verdicts.includes(true)
  }
}

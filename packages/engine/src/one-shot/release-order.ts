/** Lets answers out in the order in which their requests came. */
export class ReleaseOrder {
  readonly #tickets: { release: (() => void) | undefined }[] = []

  /** Takes a place behind those that have one. Call what it gives with how the answer is said. */
  ticket(): (release: () => void) => void {
    const ticket: { release: (() => void) | undefined } = { release: undefined }
    this.#tickets.push(ticket)
    return (release) => {
      ticket.release = release
      while (this.#tickets[0]?.release !== undefined) this.#tickets.shift()?.release?.()
    }
  }
}

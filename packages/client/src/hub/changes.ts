/** Lets those wait who wait for something to become so, and asks each of them at every change. */
export class Changes {
  #watchers: (() => void)[] = []
  #count = 0

  /** Something is not as it was. */
  tell(): void {
    this.#count++
    for (const watcher of this.#watchers.splice(0)) watcher()
  }

  /** Resolves once `isSo`, asked now and at every change. Throws what it throws. */
  async until(isSo: () => boolean): Promise<void> {
    while (!this.#ask(isSo)) await new Promise<void>((resolve) => this.#watchers.push(resolve))
  }

  /** What the question itself has changed, nobody is told of who has just asked it: so it is asked again, once, as one that always changes something must end. */
  #ask(isSo: () => boolean): boolean {
    const before = this.#count
    return isSo() || (this.#count !== before && isSo())
  }
}

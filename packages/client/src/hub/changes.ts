/** Lets those wait who wait for something to become so, and asks each of them at every change. */
export class Changes {
  #watchers: (() => void)[] = []

  /** Something is not as it was. */
  tell(): void {
    for (const watcher of this.#watchers.splice(0)) watcher()
  }

  /** Resolves once `isSo`, asked now and at every change. Throws what it throws. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#watchers.push(resolve))
  }
}

import type { Client, StoredModel } from 'tabserve'
import type { Alert } from '../chat/alert.ts'
import { byId, make } from '../chat/element.ts'
import { bytes } from '../chat/format.ts'

const STATES: Readonly<Record<StoredModel['state'], string>> = {
  stored: 'works offline; evicted when room is needed',
  partial: 'a part of it: the next load brings the rest',
  absent: 'evicted: the next load brings it back',
}

/** What this device keeps of the page: models, which can be pinned and evicted, and the page itself. */
export class StorageView {
  readonly #client: Promise<Client>
  readonly #alert: Alert
  readonly #rows = byId('stored', HTMLTableSectionElement)
  readonly #summary = byId('storage-summary', HTMLElement)
  readonly #persist = byId('persist', HTMLButtonElement)

  constructor(client: Promise<Client>, alert: Alert) {
    this.#client = client
    this.#alert = alert
    this.#persist.addEventListener('click', () => void this.#do(() => navigator.storage.persist()))
  }

  async refresh(): Promise<void> {
    try {
      const { models } = await this.#client
      const [stored, report, shellBytes] = await Promise.all([models.list(), models.storage(), shellSize()])
      const used = `Models take ${bytes(report.usedBytes)}`
      const quota =
        report.quotaBytes === undefined ? '' : ` of the ${bytes(report.quotaBytes)} that the browser allows`
      const lasting = report.isPersistent
        ? 'The browser has agreed to keep it all.'
        : 'The browser may clear it when the disk is full.'
      this.#summary.textContent = `${used}${quota}. ${lasting}`
      this.#persist.hidden = report.isPersistent
      const page = row(
        'This page',
        bytes(shellBytes),
        shellBytes === 0 ? 'needs the network' : 'works offline',
      )
      this.#rows.replaceChildren(page, ...stored.map((model) => this.#rowOf(model)))
    } catch (error) {
      this.#alert.show(error, { label: 'Try again', act: () => void this.refresh() })
    }
  }

  #rowOf({ id, url, state, storedBytes, totalBytes, isPinned }: StoredModel): HTMLTableRowElement {
    const size = state === 'stored' ? bytes(storedBytes) : `${bytes(storedBytes)} of ${bytes(totalBytes)}`
    const words = isPinned ? 'pinned: never evicted' : STATES[state]
    const found = row(id, size, words)
    const actions = make('div', { className: 'actions' })
    const act = (label: string, testId: string, work: (client: Client) => Promise<unknown>) => {
      const button = make('button', { text: label, className: 'quiet', testId })
      button.type = 'button'
      button.addEventListener('click', () => void this.#do(async () => work(await this.#client)))
      actions.append(button)
    }
    if (isPinned) act('Unpin', 'unpin', ({ models }) => models.unpin(url))
    else if (state === 'stored') act('Pin', 'pin', ({ models }) => models.pin(url))
    if (storedBytes > 0 && !isPinned) act('Evict', 'evict', ({ models }) => models.evict(url))
    found.lastElementChild?.append(actions)
    return found
  }

  async #do(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#alert.show(error)
    }
    await this.refresh()
  }
}

function row(...cells: readonly string[]): HTMLTableRowElement {
  const element = make('tr')
  element.append(...cells.map((text) => make('td', { text })), make('td'))
  return element
}

/** Bytes of the page's files in the service worker's cache. */
async function shellSize(): Promise<number> {
  let total = 0
  for (const name of await caches.keys()) {
    if (!name.startsWith('tabserve-notebook-precache')) continue
    const cache = await caches.open(name)
    for (const response of await cache.matchAll()) total += (await response.blob()).size
  }
  return total
}

import { createClient } from 'tabserve'
import { Alert } from '../chat/alert.ts'
import { byId } from '../chat/element.ts'
import { offerInstall } from './install.ts'
import { showNetwork } from './network.ts'
import { StorageView } from './storage-view.ts'
import { watchUpdates } from './update.ts'
import { Writer } from './writer.ts'

/** Where weights come from once; after that the browser has them. */
const MODEL = '../models/stories/v2/'

const alert = new Alert(byId('alert', HTMLElement))
const client = createClient()
const storage = new StorageView(client, alert)
const writer = new Writer(client, MODEL, { alert, onStored: () => void storage.refresh() })

showNetwork(byId('network', HTMLElement))
offerInstall(byId('install', HTMLButtonElement))
watchUpdates({
  banner: byId('update', HTMLElement),
  text: byId('update-text', HTMLElement),
  button: byId('update-now', HTMLButtonElement),
})
void storage.refresh()
void writer.load() // so that the very first visit is enough to be offline

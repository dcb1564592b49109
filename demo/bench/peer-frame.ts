import type { PeerId } from './peers/index.ts'
import { PEERS } from './peers/index.ts'
import type { Peer, PeerSettings } from './peers/peer.ts'

declare global {
  interface Window {
    /** Of a frame: fetches an engine's code, which is part of loading it. */
    openPeer(id: PeerId, settings: PeerSettings): Promise<Peer>
  }
}

window.openPeer = async (id, settings) => {
  const create = await PEERS[id].open()
  return create(settings)
}

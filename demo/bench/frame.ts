import type { PeerId } from './peers/index.ts'
import type { Peer, PeerSettings } from './peers/peer.ts'

export interface OpenedPeer {
  readonly peer: Peer
  /** Ends the engine, and the frame with all that it holds. */
  close(): Promise<void>
}

/**
 * An engine that is ready to answer, in a frame of its own: its code and its globals are there for nobody else, and go with it. On the page's thread and in its process, as an app would have it.
 */
export async function openPeer(id: PeerId, settings: PeerSettings): Promise<OpenedPeer> {
  const frame = document.createElement('iframe')
  frame.title = id
  frame.className = 'engine'
  frame.src = new URL('./peer.html', location.href).href
  const ready = new Promise<void>((resolve, reject) => {
    frame.addEventListener('load', () => resolve())
    frame.addEventListener('error', () => reject(new Error(`the frame of ${id} could not be loaded`)))
  })
  document.body.append(frame)
  try {
    await ready
    const { contentWindow } = frame
    if (contentWindow === null || !('openPeer' in contentWindow))
      throw new Error(`the frame of ${id} has no script`)
    const peer = await contentWindow.openPeer(id, settings)
    await peer.load()
    return {
      peer,
      async close() {
        await peer.close()
        frame.remove()
      },
    }
  } catch (error) {
    frame.remove()
    throw new Error(`${id}: ${messageOf(error)}`, { cause: error })
  }
}

/** Errors of a frame are not ours to `instanceof`. */
function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error
    ? String(error.message)
    : String(error)
}

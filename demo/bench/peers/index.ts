import type { CreatePeer } from './peer.ts'

/** Every engine of the benchmark, ours first: the others are compared with it. A frame fetches only the one that it is for. */
export const PEERS = {
  tabserve: {
    name: 'tabserve, 4-bit',
    open: async (): Promise<CreatePeer> => (await import('./tabserve.ts')).createTabserve,
  },
  'transformers-q4': {
    name: 'transformers.js 4.3.1, 4-bit',
    open: async (): Promise<CreatePeer> => (await import('./transformers.ts')).createTransformers('q4'),
  },
  'transformers-int8': {
    name: 'transformers.js 4.3.1, 8-bit',
    open: async (): Promise<CreatePeer> => (await import('./transformers.ts')).createTransformers('int8'),
  },
  wllama: {
    name: 'wllama 3.13.0, 4-bit',
    open: async (): Promise<CreatePeer> => (await import('./wllama.ts')).createWllama,
  },
} as const

export type PeerId = keyof typeof PEERS

export const OURS: PeerId = 'tabserve'

export const PEER_IDS = Object.keys(PEERS) as readonly PeerId[]

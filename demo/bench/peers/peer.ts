/** One engine with the benchmark's model, in a frame of its own. */
export interface Peer {
  /** Engine, weights, everything until it can answer: from the network, or from what an earlier load kept. */
  load(): Promise<void>
  /**
   * Continues prompts of one length that arrive together, greedily, by `maxTokens` tokens each. Engines that can answer several requests at once get them as requests, others in whatever form
   * they are quickest at.
   */
  generate(prompts: readonly Prompt[], options: GenerateOptions, onToken: OnToken): Promise<void>
  /** Forgets what loads have kept, so that the next one is a first visit. */
  forget(): Promise<void>
  close(): Promise<void>
}

export interface Prompt {
  readonly text: string
  /** That it must come to, the one that begins every text included: what has read others has measured something else. */
  readonly numTokens: number
}

export interface GenerateOptions {
  readonly maxTokens: number
  /** The one prompt begins with the one before: for engines whose callers must say so. */
  readonly continues?: boolean
}

/** Told of each token on the page's thread, as soon as it is known. @param prompt which one. */
export type OnToken = (prompt: number, text: string) => void

export interface PeerSettings {
  /** Address of the folder of models, with a slash at its end. */
  readonly models: string
  readonly threads: number
}

export type CreatePeer = (settings: PeerSettings) => Peer

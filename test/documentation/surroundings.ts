import type { ChatMessage, Client, ModelInfo, ToolDefinition } from 'tabserve'

/** What the code blocks of the guides take as given. A block that declares a name itself means its own. */
declare global {
  const client: Client
  const model: ModelInfo
  const messages: ChatMessage[]
  const tools: ToolDefinition[]
  const documents: string[]
  const userId: string
  const schema: object
  const signal: AbortSignal
  const text: string
  /** Samples of sound at 16 kHz. */
  const samples: Float32Array
  const pixels: Float32Array
  /** A picture. */
  const blob: Blob
  const input: HTMLInputElement & { readonly files: FileList }
  const frame: HTMLIFrameElement
}

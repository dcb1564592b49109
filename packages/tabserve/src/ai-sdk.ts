/**
 * A provider for the Vercel AI SDK.
 *
 * @module tabserve/ai-sdk
 */

export { createTabserve } from '@tabserve/client/ai-sdk'
export type { TabserveProvider } from '@tabserve/client/ai-sdk'

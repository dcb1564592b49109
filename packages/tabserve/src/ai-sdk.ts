export { createTabserve } from '@tabserve/client/ai-sdk'
export type { TabserveProvider } from '@tabserve/client/ai-sdk'

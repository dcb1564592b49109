import type { WorkerLinkOptions } from '../worker-link.ts'

/** Tabs share where they would have started the same workers: the name of those who do. */
export async function groupOf({ assets, threads, storage }: WorkerLinkOptions): Promise<string> {
  const text = JSON.stringify({ assets, threads, storage })
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Array.from(new Uint8Array(hash, 0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** The lock that one tab of a group holds while it lives. */
export function newTabLock(group: string): string {
  return `${prefixOf(group)}${crypto.getRandomValues(new Uint32Array(4)).join('-')}`
}

/** Whether any tab of the group lives but the one with this lock. */
export async function hasOtherTabs(group: string, own: string): Promise<boolean> {
  const { held = [] } = await navigator.locks.query()
  return held.some(({ name = '' }) => name.startsWith(prefixOf(group)) && name !== own)
}

/** Takes a lock that nobody asks for but to wait for its end. Returns how to let go. */
export function holdLock(name: string): () => void {
  let letGo = () => {}
  const held = new Promise<void>((resolve) => (letGo = resolve))
  void navigator.locks.request(name, () => held)
  return letGo
}

function prefixOf(group: string): string {
  return `tabserve-tab ${group} `
}

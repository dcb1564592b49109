import { Workbox } from 'workbox-window'
import { whenNobodyWrites } from './streaming-lock.ts'

export interface UpdateView {
  readonly banner: HTMLElement
  readonly text: HTMLElement
  readonly button: HTMLButtonElement
}

/**
 * Installs the service worker and offers its next version, which waits until somebody takes it. Taking it throws the old version's files away and
 * reloads every tab: so it first waits until no tab is writing.
 */
export function watchUpdates({ banner, text, button }: UpdateView): void {
  if (!('serviceWorker' in navigator)) return // insecure pages, and some private windows
  const workbox = new Workbox('./sw.js')
  let isUpdating = false
  workbox.addEventListener('waiting', () => {
    text.textContent = 'A new version is here. Stories are kept.'
    banner.hidden = false
  })
  let isControlled = navigator.serviceWorker.controller !== null
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    if (isControlled) location.reload() // also where another tab took the new version
    isControlled = true // the first visit
  })
  button.addEventListener('click', () => {
    if (isUpdating) return
    isUpdating = true
    button.disabled = true
    text.textContent = 'Updating as soon as no story is being written…'
    void whenNobodyWrites(
      () =>
        new Promise((resolve) => {
          addEventListener('pagehide', () => resolve())
          workbox.messageSkipWaiting()
        }),
    )
  })
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') void workbox.update().catch(() => {}) // offline there is none
  })
  void workbox.register()
}

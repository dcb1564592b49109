/** `frozen`: nothing of the page runs from now on, until it is resumed or gone. */
export type PageState = 'visible' | 'hidden' | 'frozen'

/** What of a document and its window is asked. */
export interface WatchedPage {
  readonly document: Pick<Document, 'visibilityState' | 'addEventListener' | 'removeEventListener'>
  readonly window: Pick<Window, 'addEventListener' | 'removeEventListener'>
}

/** Tells how the page is, now and at every change. Returns how to stop. */
export function watchPage(
  { document, window }: WatchedPage,
  onChange: (state: PageState) => void,
): () => void {
  const look = () => onChange(document.visibilityState === 'visible' ? 'visible' : 'hidden')
  const freeze = () => onChange('frozen')
  // Into the cache for "back": as good as frozen. A page that is closed takes its workers with it.
  const hide = (event: Event) => (event as PageTransitionEvent).persisted && onChange('frozen')
  const listeners = [
    [document, 'visibilitychange', look],
    [document, 'freeze', freeze],
    [document, 'resume', look],
    [window, 'pagehide', hide],
    [window, 'pageshow', look],
  ] as const
  for (const [target, type, listener] of listeners) target.addEventListener(type, listener)
  look()
  return () => {
    for (const [target, type, listener] of listeners) target.removeEventListener(type, listener)
  }
}

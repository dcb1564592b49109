/** What the browser and the server tell of costs that a page cannot see for itself. */

/** Bytes that the server has sent so far, workers' requests among them. `undefined` where it does not count: `npm start` does. */
export async function servedBytes(): Promise<number | undefined> {
  const response = await fetch('../served-bytes', { cache: 'no-store' })
  if (!response.ok) return undefined
  const { bytes } = (await response.json().catch(() => ({}))) as { bytes?: unknown }
  return typeof bytes === 'number' ? bytes : undefined
}

/** Bytes that the page, its frames and their workers hold. `undefined` where the browser does not tell, or the page is not isolated. */
export async function heldBytes(): Promise<number | undefined> {
  const api = performance as Performance & {
    measureUserAgentSpecificMemory?: () => Promise<{ readonly bytes: number }>
  }
  if (!crossOriginIsolated || api.measureUserAgentSpecificMemory === undefined) return undefined
  return (await api.measureUserAgentSpecificMemory()).bytes
}

/**
 * Makes workers of the script at this address, of whatever origin: browsers start workers from the page's own origin only, but a script of the page's
 * may import any other that its server lets it (CORS). That script is never revoked: helper threads run it again.
 */
export function workerAt(address: string): () => Worker {
  const { href, origin } = new URL(address, location.href) // Turbopack gives paths
  const script = origin === location.origin ? href : importing(href)
  return () => new Worker(script, { type: 'module', name: 'tabserve' })
}

function importing(address: string): string {
  return URL.createObjectURL(new Blob([`import ${JSON.stringify(address)}`], { type: 'text/javascript' }))
}

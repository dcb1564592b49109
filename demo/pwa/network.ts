/** Says whether the browser believes that it has a network. */
export function showNetwork(line: HTMLElement): void {
  const show = () => (line.textContent = navigator.onLine ? '' : 'Offline: everything still works.')
  for (const type of ['online', 'offline']) addEventListener(type, show)
  show()
}

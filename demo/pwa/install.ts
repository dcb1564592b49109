/** Chromium's own; other browsers install from their menus. */
interface InstallPrompt extends Event {
  prompt(): Promise<unknown>
}

/** Shows the button for as long as the browser would install the page. */
export function offerInstall(button: HTMLButtonElement): void {
  let offered: InstallPrompt | undefined
  addEventListener('beforeinstallprompt', (event) => {
    event.preventDefault() // the browser's own bar would come at once
    offered = event as InstallPrompt
    button.hidden = false
  })
  addEventListener('appinstalled', () => (button.hidden = true))
  button.addEventListener('click', () => void offered?.prompt())
}

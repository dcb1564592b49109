import type { Client, ClientOptions, GrantedClient } from 'tabserve'

declare global {
  interface Window {
    /** What `tabserve.global.js` puts there. */
    tabserve: {
      createClient(options?: Partial<ClientOptions>): Promise<Client>
      connect(port: MessagePort): GrantedClient
      isolatePage(serviceWorker: string): Promise<boolean>
    }
    /** Where tests keep their client between two calls into the page. */
    client: Client
    /** Exposed by `generate.ts`. */
    writeToTerminal(text: string): void
  }
}

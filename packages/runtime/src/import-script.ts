import { EngineError } from '@tabserve/protocol'

/**
 * A module that only some pages need, from its address: no bundler looks into it. Throws `network`.
 * @param what it is, as the message says it; `asset` its name among the `assets`.
 */
export async function importScript(what: string, asset: string, address: string): Promise<object> {
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ address)) as object
  } catch (cause) {
    const message = `${what} could not be fetched from ${address}, the \`assets.${asset}\` address. Is the file there, and the network?`
    throw new EngineError('network', message, { cause })
  }
}

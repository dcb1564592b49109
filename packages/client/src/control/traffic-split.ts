import { EngineError } from '@tabserve/protocol'
import { textHash } from '@tabserve/protocol'

/** `name@version` and its weight. Weights are shares of their sum; percent is usual. */
export type Traffic = Readonly<Record<string, number>>

/**
 * The version that a key goes to: weighted rendezvous hashing. The same experiment, key and weights give the same version, and a weight that grows
 * draws keys to its version without moving any between the others. So who has met the new version stays with it through a ramp.
 */
export function chooseVersion(traffic: Traffic, experiment: string, key: string): string {
  let best: string | undefined
  let shortest = Infinity
  for (const [version, weight] of Object.entries(traffic)) {
    // The first of several exponential waits is each one's with a probability in proportion to its rate.
    const wait = -Math.log(textHash(JSON.stringify([experiment, version, key]))) / weight
    if (wait >= shortest) continue
    shortest = wait
    best = version
  }
  if (best === undefined) throw new Error('traffic without a version')
  return best
}

/** Throws `bad_request`. */
export function checkTraffic(traffic: Traffic): void {
  const weights = Object.entries(traffic)
  const wrong = weights.find(([, weight]) => !(Number.isFinite(weight) && weight >= 0))
  if (wrong !== undefined)
    throw new EngineError(
      'bad_request',
      `The weight ${String(wrong[1])} of ${wrong[0]} must be a number from 0.`,
    )
  if (!weights.some(([, weight]) => weight > 0))
    throw new EngineError('bad_request', 'traffic must give at least one version a weight above 0.')
  const unversioned = weights.find(([version]) => !/^[\w.-]+@[\w.-]+$/.test(version))
  if (unversioned !== undefined)
    throw new EngineError('bad_request', `traffic goes to name@version; ${unversioned[0]} is not one.`)
}

/** Who has answered a request. */
export type ServedBy =
  | {
      readonly where: 'local'
      /** `name@version`. */
      readonly model: string
      /** The alias that the request named, if it named one. */
      readonly alias?: string
    }
  | {
      readonly where: 'remote'
      /** As the endpoint calls it. */
      readonly model: string
      readonly alias: string
      /** The endpoint's address. */
      readonly url: string
      /** Why it was not answered here. */
      readonly reason: FallbackCondition
    }

/**
 * When a server may be asked instead. `unsupported_device`: the version did not load here. `model_too_large`: it did not, for want of memory.
 * `overload`: the queue was full.
 */
export type FallbackCondition = 'unsupported_device' | 'model_too_large' | 'overload'

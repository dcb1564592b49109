import type { PixelImage } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Transformers } from './door.ts'

/** An encoded picture, or pixels, as transformers.js reads them. Throws `bad_request`. */
export async function pictureOf(library: Transformers, input: unknown): Promise<Picture> {
  const { RawImage } = library
  if (input instanceof Blob) {
    try {
      return await RawImage.fromBlob(input)
    } catch (cause) {
      throw new EngineError('bad_request', 'The picture cannot be decoded; is it a JPEG, PNG or WebP?', {
        param: 'input',
        cause,
      })
    }
  }
  const { data, width, height } = (input ?? {}) as Partial<PixelImage>
  const isBytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray
  const channels = isBytes ? data.length / (Number(width) * Number(height)) : NaN
  if (!isBytes || ![1, 2, 3, 4].includes(channels))
    throw new EngineError(
      'bad_request',
      'A picture is a Blob, or { data, width, height } with 1 to 4 bytes a pixel.',
      { param: 'input' },
    )
  return new RawImage(data, Number(width), Number(height), channels as 1 | 2 | 3 | 4)
}

export type Picture = InstanceType<Transformers['RawImage']>

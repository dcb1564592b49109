/** The samples of a 16-bit, one-channel WAV file, −1 to 1. */
export function readWave(file: Buffer): Float32Array {
  let at = 12
  while (file.toString('latin1', at, at + 4) !== 'data') at += 8 + file.readUInt32LE(at + 4)
  const numSamples = file.readUInt32LE(at + 4) / 2
  return Float32Array.from(
    { length: numSamples },
    (_, index) => file.readInt16LE(at + 8 + 2 * index) / 32_768,
  )
}

/** Of Whisper, at 16 kHz. */
const [RATE, WINDOW, HOP, NUM_MELS] = [16_000, 400, 160, 80]
const NUM_BINS = WINDOW / 2 + 1
const TURNS = Array.from({ length: WINDOW }, (_, at) => (2 * Math.PI * at) / WINDOW)
const [COSINES, SINES] = [TURNS.map(Math.cos), TURNS.map(Math.sin)]

/**
 * Whisper's log-mel spectrogram in float64, by its definition, no fast transform: [frames, 80], row by row.
 * @param numSamples what a shorter recording is filled up to with silence; a longer one is cut off.
 */
export function logMel(samples: Float32Array, numSamples: number): Float32Array {
  const audio = Float64Array.from({ length: numSamples }, (_, at) => samples[at] ?? 0)
  const filters = melFilters()
  const logs = Array.from({ length: numSamples / HOP }, (_, frame) => {
    const power = powerSpectrum(windowed(audio, frame * HOP))
    return filters.map((filter) => {
      const energy = filter.reduce((sum, weight, bin) => sum + weight * (power[bin] ?? 0), 0)
      return Math.log10(Math.max(1e-10, energy))
    })
  }).flat()
  const loudest = logs.reduce((most, value) => Math.max(most, value), -Infinity)
  return Float32Array.from(logs, (value) => (Math.max(value, loudest - 8) + 4) / 4)
}

/** 25 ms around a sample, mirrored at both ends of the recording, under a periodic Hann window. */
function windowed(audio: Float64Array, center: number): Float64Array {
  return Float64Array.from({ length: WINDOW }, (_, at) => {
    const place = Math.abs(center + at - WINDOW / 2)
    const mirrored = place < audio.length ? place : 2 * (audio.length - 1) - place
    return (audio[mirrored] ?? 0) * (0.5 - 0.5 * (COSINES[at] ?? 0))
  })
}

function powerSpectrum(frame: Float64Array): Float64Array {
  return Float64Array.from({ length: NUM_BINS }, (_, bin) => {
    let [real, imaginary] = [0, 0]
    for (const [at, value] of frame.entries()) {
      const turn = (bin * at) % WINDOW
      real += value * (COSINES[turn] ?? 0)
      imaginary -= value * (SINES[turn] ?? 0)
    }
    return real * real + imaginary * imaginary
  })
}

/** Triangles that overlap by half, evenly spaced on Slaney's scale from 0 to 8000 Hz, each of area 1. */
function melFilters(): Float64Array[] {
  const most = 15 + Math.log(8) / STEP
  const corners = Array.from({ length: NUM_MELS + 2 }, (_, index) => hertz((most * index) / (NUM_MELS + 1)))
  return Array.from({ length: NUM_MELS }, (_, index) => {
    const [low = 0, middle = 0, high = 0] = corners.slice(index, index + 3)
    return Float64Array.from({ length: NUM_BINS }, (_, bin) => {
      const at = (bin * RATE) / WINDOW
      const height = Math.min((at - low) / (middle - low), (high - at) / (high - middle))
      return (Math.max(0, height) * 2) / (high - low)
    })
  })
}

/** Slaney's scale is straight up to 1000 Hz, 15 mel, and logarithmic from there: 27 mel more are 6.4 times the frequency. */
const STEP = Math.log(6.4) / 27

function hertz(mel: number): number {
  return mel < 15 ? (mel * 200) / 3 : 1000 * Math.exp(STEP * (mel - 15))
}

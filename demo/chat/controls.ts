import type { SamplingParams } from 'tabserve'

const NAMES = ['temperature', 'topP', 'topK', 'minP', 'repetitionPenalty', 'maxTokens', 'seed'] as const

/**
 * The sampling parameters that the settings form says; an empty field is left to the engine. `undefined` when a field is
 * out of range: the panel opens and the browser points at it.
 */
export function readSampling(form: HTMLFormElement, panel: HTMLDetailsElement): SamplingParams | undefined {
  if (!form.checkValidity()) {
    panel.open = true
    form.reportValidity()
    return undefined
  }
  const data = new FormData(form)
  const filled = NAMES.map((name) => [name, String(data.get(name) ?? '')] as const).filter(
    ([, value]) => value !== '',
  )
  return Object.fromEntries(filled.map(([name, value]) => [name, Number(value)]))
}

import { Choices } from './choices.ts'
import type { Constraint } from './constraint.ts'
import { TokenHistory } from './logits-processors.ts'
import { fitPrompt } from './prompt-fit.ts'
import { Random } from './random.ts'
import { resume } from './resume.ts'
import { Sampler } from './sampler.ts'
import type { Sampling } from './sampling-params.ts'
import type { Scheduling } from './scheduling-params.ts'
import { Sequence } from './sequence.ts'
import type { Emit } from './served.ts'
import { TextStream } from './text-stream.ts'

export interface Prompt {
  /** What telemetry calls the request. Default: nothing. */
  readonly id?: string
  readonly tokens: readonly number[]
  readonly sampling: Sampling
  readonly scheduling: Scheduling
  /** Makes what one of its answers is held to. @param said what that answer has said already, and it has accepted. */
  readonly constrain?: (said: readonly number[]) => Constraint
  /** Token ids to text, where that is not the usual way. */
  readonly decode?: (tokens: readonly number[]) => string
  /** What each answer has said in an engine that is gone, in order; they go on behind it. */
  readonly resume?: readonly (readonly number[])[]
}

/** What an engine adds to a prompt. */
export interface Opening {
  readonly maxContext: number
  readonly eosTokenIds: readonly number[]
  readonly decode: (tokens: readonly number[]) => string
  readonly randomSeed: () => number
  /** Place of the first answer in the order of all sequences. */
  readonly arrival: number
  readonly submittedMs: number
}

/** The answers to a request, as yet unsaid. Throws `context_overflow` when the prompt does not fit, `bad_request` when it is empty. */
export function openChoices(asked: Prompt, emit: Emit, opening: Opening): Choices {
  const { id = '', tokens, sampling, scheduling, constrain, resume: said = [] } = asked
  const { maxContext, eosTokenIds, randomSeed, submittedMs } = opening
  const { decode = opening.decode } = asked
  const prompt = fitPrompt(tokens, maxContext, sampling.maxTokens, scheduling.contextOverflow)
  const choices = new Choices(emit, id, scheduling.n, prompt.length, submittedMs)
  const seed = sampling.seed ?? randomSeed()
  const stopTokens = new Set([...(sampling.ignoreEos ? [] : eosTokenIds), ...sampling.stopTokenIds])
  for (let choice = 0; choice < scheduling.n; choice++) {
    const spoken = said[choice] ?? []
    const constraint = constrain?.(spoken)
    const sequence = new Sequence({
      prompt,
      maxOutput: sampling.maxTokens ?? Infinity,
      sampler: new Sampler(sampling, new Random(seed + choice), stopTokens, constraint),
      constraint,
      history: new TokenHistory(prompt),
      text: new TextStream(decode, sampling.stop, prompt),
      stopTokens,
      scheduling,
      promptLogprobs: sampling.promptLogprobs,
      choices,
      choice,
      arrival: opening.arrival + choice,
      submittedMs,
    })
    resume(sequence, spoken, maxContext)
    choices.sequences.push(sequence)
  }
  return choices
}

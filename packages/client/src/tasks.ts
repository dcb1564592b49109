import type {
  ClassifyInput,
  Detection,
  EmbedInput,
  Embedding,
  Entity,
  ImageInput,
  Label,
  OneShotTask,
  Ranked,
  RunRequest,
  TaskShapes,
  Transcript,
  VoiceActivity,
  ZeroShotInput,
} from '@tabserve/protocol'
import type { OneShotOptions, RunResult } from './inference.ts'

/** Asks a model that has the task's handler: its input, the task's own parameters, and how it is to be scheduled. */
export type TaskOptions<
  Task extends OneShotTask,
  Input = TaskShapes[Task]['input'],
> = TaskShapes[Task]['parameters'] &
  Omit<OneShotOptions<RunRequest>, 'input' | 'parameters'> & { readonly input: Input }

interface Runner {
  run<Output>(options: OneShotOptions<RunRequest>): Promise<RunResult<Output>>
}

/**
 * The tasks that tabserve has handlers for, typed. Everywhere a list of inputs gives the list of outputs: they are asked at once, and go through the
 * model together as far as it allows. Reject as `Client.run` does.
 */
export class Tasks {
  readonly #client: Runner

  constructor(client: Runner) {
    this.#client = client
  }

  /** Texts, or their token ids, to vectors. */
  embed(options: TaskOptions<'embed'>): Promise<Embedding>
  embed(options: TaskOptions<'embed', readonly EmbedInput[]>): Promise<readonly Embedding[]>
  embed({ input, ...options }: TaskOptions<'embed'> | TaskOptions<'embed', readonly EmbedInput[]>) {
    // A list of numbers is one text's tokens.
    const isOne = typeof input === 'string' || input.some((each) => typeof each === 'number')
    return this.#ask<'embed'>(options, input, !isOne)
  }

  /** Texts, or pairs of them, to the labels of a model that was trained on them. */
  classify(options: TaskOptions<'classify'>): Promise<readonly Label[]>
  classify(options: TaskOptions<'classify', readonly ClassifyInput[]>): Promise<readonly (readonly Label[])[]>
  classify({
    input,
    ...options
  }: TaskOptions<'classify'> | TaskOptions<'classify', readonly ClassifyInput[]>) {
    return this.#ask<'classify'>(options, input, Array.isArray(input))
  }

  /** A text among labels of your own. */
  classifyZeroShot({
    text,
    labels,
    ...options
  }: Omit<TaskOptions<'zero-shot'>, 'input'> & ZeroShotInput): Promise<readonly Label[]> {
    return this.#one<'zero-shot'>(options, { text, labels })
  }

  /** Names, places and what else the model finds in a text. */
  classifyTokens({ input, ...options }: TaskOptions<'token-classify'>): Promise<readonly Entity[]> {
    return this.#one<'token-classify'>(options, input)
  }

  /** Documents by how well they answer a query, best first. */
  rerank({
    query,
    documents,
    ...options
  }: Omit<TaskOptions<'rerank'>, 'input'> & TaskShapes['rerank']['input']): Promise<readonly Ranked[]> {
    return this.#one<'rerank'>(options, { query, documents })
  }

  /** A text to its sentences, which together are the text. */
  split({ input, ...options }: TaskOptions<'split'>): Promise<readonly string[]> {
    return this.#one<'split'>(options, input)
  }

  /** Pictures to labels. */
  classifyImage(options: TaskOptions<'image-classify'>): Promise<readonly Label[]>
  classifyImage(
    options: TaskOptions<'image-classify', readonly ImageInput[]>,
  ): Promise<readonly (readonly Label[])[]>
  classifyImage({
    input,
    ...options
  }: TaskOptions<'image-classify'> | TaskOptions<'image-classify', readonly ImageInput[]>) {
    return this.#ask<'image-classify'>(options, input, Array.isArray(input))
  }

  /** Things in a picture and where they are. */
  detect({ input, ...options }: TaskOptions<'detect'>): Promise<readonly Detection[]> {
    return this.#one<'detect'>(options, input)
  }

  /** Where somebody speaks, in a recording or in the chunks of a stream. */
  detectVoice({ input, ...options }: TaskOptions<'voice-activity'>): Promise<VoiceActivity> {
    return this.#one<'voice-activity'>(options, input)
  }

  /** Speech to text. */
  transcribe({ input, ...options }: TaskOptions<'transcribe'>): Promise<Transcript> {
    return this.#one<'transcribe'>(options, input)
  }

  #one<Task extends OneShotTask>(
    options: Asked,
    input: TaskShapes[Task]['input'],
  ): Promise<TaskShapes[Task]['output']> {
    return this.#client
      .run<TaskShapes[Task]['output']>({ ...runOptions(options), input })
      .then(({ output }) => output)
  }

  async #ask<Task extends OneShotTask>(options: Asked, input: unknown, isList: boolean): Promise<never> {
    const ask = (each: unknown) => this.#one<Task>(options, each as TaskShapes[Task]['input'])
    const found = isList ? await allOrNone((input as readonly unknown[]).map(ask)) : await ask(input)
    return found as never // the overloads say which it is
  }
}

type Asked = Omit<OneShotOptions<RunRequest>, 'input' | 'parameters'> & Readonly<Record<string, unknown>>

/** What is said of every request; the rest are the task's own parameters. The compiler checks that none is missing. */
const COMMON: Readonly<Record<Exclude<keyof OneShotOptions<RunRequest>, 'input' | 'parameters'>, true>> = {
  model: true,
  sequence: true,
  priority: true,
  timeoutMs: true,
  cache: true,
  transfer: true,
  signal: true,
  stickyKey: true,
  requestId: true,
  traceparent: true,
}

function runOptions(options: Asked): Omit<OneShotOptions<RunRequest>, 'input'> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  const common = Object.fromEntries(given.filter(([name]) => Object.hasOwn(COMMON, name)))
  const parameters = Object.fromEntries(given.filter(([name]) => !Object.hasOwn(COMMON, name)))
  return { ...(common as Omit<OneShotOptions<RunRequest>, 'input'>), parameters }
}

/** The first failure is the list's; the others are waited for, so that nothing goes on unseen. */
async function allOrNone<T>(all: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(all)
  return Promise.all(all)
}

import { Template } from '@huggingface/jinja'
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers'
import type { TokenizerSpec } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { boundedRange } from './bounded-range.ts'
import type { Vocabulary } from './grammar/grammar-calls.ts'

export interface EncodedText {
  readonly ids: readonly number[]
  readonly types: readonly number[]
}

/** Text to token ids and back, and conversations to text: the one door to Hugging Face's tokenizers and jinja. */
export class Tokenizer {
  readonly #tokenizer: HuggingFaceTokenizer
  readonly #templates: { readonly plain: ChatTemplate | undefined; readonly tools: ChatTemplate | undefined }
  readonly #spec: TokenizerSpec
  readonly #special: Readonly<Record<string, string>>
  readonly #byteKind: Vocabulary['kind']

  /**
   * @param file the bytes of `tokenizer.json`, @param config those of `tokenizer_config.json`, @param chatTemplate those of a
   * template with a file of its own, which counts in place of the one in `config`.
   * Throws `bad_model` when either cannot be read.
   */
  constructor(file: Uint8Array, config: Uint8Array, spec: TokenizerSpec, chatTemplate?: Uint8Array) {
    const settings = parse(config, spec.config) as {
      chat_template?: unknown
      bos_token?: unknown
      eos_token?: unknown
    }
    try {
      const tokenizer = parse(file, spec.file)
      this.#tokenizer = new HuggingFaceTokenizer(tokenizer, settings)
      this.#byteKind = byteKindOf(tokenizer)
    } catch (cause) {
      throw badFile(spec.file, cause)
    }
    try {
      const given =
        chatTemplate === undefined ? settings.chat_template : new TextDecoder().decode(chatTemplate)
      const plain = templateOf(given, 'default')
      this.#templates = { plain, tools: templateOf(given, 'tool_use') ?? plain }
    } catch (cause) {
      throw badFile(spec.chatTemplate ?? spec.config, cause)
    }
    this.#spec = spec
    this.decode(this.encode('A text, and 1 more.')) // a file may be read and still make no tokenizer
    this.#special = { bos_token: tokenText(settings.bos_token), eos_token: tokenText(settings.eos_token) }
  }

  get hasChatTemplate(): boolean {
    return this.#templates.plain !== undefined
  }

  /** The template that conversations with tools are rendered by. */
  get toolTemplate(): string | undefined {
    return this.#templates.tools?.text
  }

  /** Token ids of a prompt, beginning with the model's first token where it wants one. */
  encode(text: string): number[] {
    const { ids } = this.#guarded(() => this.#tokenizer.encode(text, { add_special_tokens: false }))
    if (!ids.every(Number.isSafeInteger))
      throw badFile(this.#spec.file, new Error('it has ids that are no whole numbers'))
    const { addBos, bosTokenId } = this.#spec
    // A chat template may have written the first token itself.
    return addBos && bosTokenId !== undefined && ids[0] !== bosTokenId ? [bosTokenId, ...ids] : ids
  }

  /** A text, or a pair, as encoders read it: special tokens where the tokenizer puts them, and which of the two texts each token is of. */
  encodeForEncoder(text: string, pair?: string): EncodedText {
    const options = { add_special_tokens: true, return_token_type_ids: true as const }
    const encoded = this.#tokenizer.encode(
      text,
      pair === undefined ? options : { ...options, text_pair: pair },
    )
    return { ids: encoded.ids, types: encoded.token_type_ids }
  }

  /** Token ids of a text, nothing added. */
  encodePlain(text: string): number[] {
    return text === '' ? [] : this.#tokenizer.encode(text, { add_special_tokens: false }).ids
  }

  /** The id of a token as the file writes it. */
  tokenId(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token)
  }

  /** A token as the file writes it, `##ing`. */
  rawToken(id: number): string {
    return this.#tokenizer.id_to_token(id) ?? ''
  }

  /** Text of tokens, special ones left out, all but those in `shown`. */
  decode(tokens: readonly number[], shown?: ReadonlyMap<number, string>): string {
    const isShown = shown !== undefined && tokens.some((token) => shown.has(token))
    const special = isShown ? this.#tokenizer.get_added_tokens_decoder() : undefined
    const kept = tokens.filter((token) => shown?.has(token) === true || special?.get(token)?.special !== true)
    if (kept.length === 0) return '' // which the library refuses
    return this.#guarded(() =>
      this.#tokenizer.decode(kept, {
        skip_special_tokens: !isShown,
        clean_up_tokenization_spaces: false,
      }),
    )
  }

  /** The special tokens among these texts, by id. */
  specialTokens(texts: readonly string[]): ReadonlyMap<number, string> {
    const added = [...this.#tokenizer.get_added_tokens_decoder()]
    return new Map(
      added.flatMap(([id, { content, special }]) =>
        special && texts.includes(content) ? [[id, content]] : [],
      ),
    )
  }

  /**
   * Every token as the file writes it, for a model with `vocabSize` of them; special ones, which are no text, as ''. @param markers those that are
   * text all the same where calls of tools are written.
   */
  vocabulary(vocabSize: number, markers: ReadonlyMap<number, string>): Vocabulary {
    const added = this.#tokenizer.get_added_tokens_decoder()
    const tokens = Array.from({ length: vocabSize }, (_, id) =>
      added.get(id)?.special === true ? '' : (this.#tokenizer.id_to_token(id) ?? ''),
    )
    return { tokens, kind: this.#byteKind, eosTokenIds: this.#spec.eosTokenIds, markers }
  }

  /** What a token adds to a text, special ones written out: tokenizers strip the space before a text's first word, so it is decoded behind another. */
  tokenText(token: number): string {
    const decode = (tokens: readonly number[]) =>
      this.#tokenizer.decode([...tokens], {
        skip_special_tokens: false,
        clean_up_tokenization_spaces: false,
      })
    const before = this.#tokenizer.encode('a', { add_special_tokens: false }).ids
    return decode([...before, token]).slice(decode(before).length)
  }

  /** The library trusts the file, and fails in its own words where it should not have. */
  #guarded<T>(work: () => T): T {
    try {
      return work()
    } catch (cause) {
      throw badFile(this.#spec.file, cause)
    }
  }

  /** A conversation as the prompt for its next answer. Throws `bad_request` when the model has no template or its template refuses. */
  renderChat({ messages, tools, options = {} }: Conversation): string {
    const template = this.#templates[tools === undefined ? 'plain' : 'tools']
    if (template === undefined) {
      throw new EngineError(
        'bad_request',
        'This model has no chat template: send `prompt` instead of `messages`.',
      )
    }
    try {
      return template.compiled.render({
        ...options,
        bounded_range: boundedRange,
        messages,
        ...(tools === undefined ? {} : { tools }),
        add_generation_prompt: true,
        ...this.#special,
      })
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new EngineError('bad_request', `The model's chat template refuses these messages: ${reason}`, {
        cause,
      })
    }
  }
}

/** The library's own `range` cannot be replaced from outside. Its newline goes with the block, as jinja's `trim_blocks` has it. */
const BOUNDED = '{% set range = bounded_range %}\n'
/** A conversation in the words of chat templates, which are OpenAI's. */
export interface Conversation {
  readonly messages: readonly object[]
  readonly tools?: readonly object[]
  /** Variables of the template's own. */
  readonly options?: Readonly<Record<string, unknown>>
}

interface ChatTemplate {
  readonly text: string
  readonly compiled: Template
}

/** As the decoder says that it turns tokens into bytes. */
function byteKindOf({ decoder }: { decoder?: unknown }): Vocabulary['kind'] {
  const text = JSON.stringify(decoder ?? null)
  if (text.includes('"ByteLevel"')) return 'byte_level'
  return /"(ByteFallback|Metaspace)"|▁/.test(text) ? 'byte_fallback' : 'raw'
}

/** One template, or several with names, of which one is wanted; without a default one the first is that. */
function templateOf(template: unknown, name: 'default' | 'tool_use'): ChatTemplate | undefined {
  if (typeof template === 'string')
    return name === 'default'
      ? { text: template, compiled: new Template(BOUNDED + renderable(template)) }
      : undefined
  if (!Array.isArray(template)) return undefined
  const named = template as readonly { readonly name?: unknown; readonly template?: unknown }[]
  const chosen = named.find((entry) => entry.name === name) ?? (name === 'default' ? named[0] : undefined)
  return typeof chosen?.template === 'string' ? templateOf(chosen.template, 'default') : undefined
}

/** SmolLM3 writes tools as Python prints a dict, which the library cannot: as JSON they say the same. */
function renderable(template: string): string {
  return template.replaceAll(/\btool \| string\b/g, 'tool | tojson')
}

function parse(bytes: Uint8Array, name: string): object {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as object
  } catch (cause) {
    throw badFile(name, cause)
  }
}

function badFile(file: string, cause: unknown): EngineError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new EngineError('bad_model', `${file} cannot be read: ${reason}`, { file, cause })
}

/** `tokenizer_config.json` writes a special token as text or as `{ content }`. */
function tokenText(token: unknown): string {
  if (typeof token === 'string') return token
  return typeof token === 'object' && token !== null && 'content' in token ? String(token.content) : ''
}

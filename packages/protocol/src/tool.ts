/** Something that the caller can do for the model, in the model's words. */
export interface ToolDefinition {
  /** 1 to 64 of the letters a–z, A–Z, 0–9, `_`, `-` and `.`; no two tools have the same. */
  readonly name: string
  /** When the model should use it. */
  readonly description?: string
  /** A JSON schema of type `object`. Default: it takes no arguments. */
  readonly parameters?: object
  /**
   * Holds the arguments of every call to `parameters`, also where the model itself decides to call; what XGrammar cannot hold to is refused. Without it
   * `required` and a named tool hold to `parameters` as far as that can be done, and `auto` to nothing. Default false.
   */
  readonly strict?: boolean
}

/**
 * `auto`: the model decides, and writes calls in its own way, which is then read. `none`: the model does not hear of the tools, and its answer is
 * text. `required`: nothing but calls can be said. `{ name }`: nothing but one call of this tool.
 */
export type ToolChoice = 'none' | 'auto' | 'required' | { readonly name: string }

/** A call that a model has made. */
export interface ToolCall {
  /** Nine letters and digits, as some chat templates want them. */
  readonly id: string
  readonly name: string
  /** As the model wrote them: usually the JSON of an object, but a cut or confused answer can end anywhere. */
  readonly arguments: string
}

/** What an answer says of its call number `index`: first its id and name, then its arguments piece by piece. */
export interface ToolCallDelta {
  readonly index: number
  readonly id?: string
  readonly name?: string
  readonly arguments: string
}

/** How a family of models writes its calls. The guide "Generating", "Tools", says which is which. */
export type ToolParserName = (typeof TOOL_PARSERS)[number]

/** Every family whose calls can be read. */
export const TOOL_PARSERS = [
  'hermes',
  'qwen3-coder',
  'llama3-json',
  'pythonic',
  'lfm2',
  'mistral',
  'deepseek',
  'granite',
  'phi4-mini',
  'gemma',
  'hunyuan',
  'internlm',
] as const

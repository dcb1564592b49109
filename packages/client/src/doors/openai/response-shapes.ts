import type { ResponseTool, ResponseToolChoice } from './tool-fields.ts'
import type { ServingExtras } from './sampling-fields.ts'

/** The part of OpenAI's request that a model in a tab can fulfil; the rest is refused with `unsupported_parameter`. */
export interface ResponseParams extends ServingExtras {
  model: string
  input: string | ResponseInputItem[]
  /** Comes first, as the system's message. */
  instructions?: string | null
  stream?: boolean | null
  max_output_tokens?: number | null
  temperature?: number | null
  top_p?: number | null
  text?: {
    format?:
      | { type: 'text' }
      | { type: 'json_object' }
      | { type: 'json_schema'; name: string; schema: Record<string, unknown>; strict?: boolean | null }
    verbosity?: 'medium' | null
  }
  tools?: ResponseTool[]
  tool_choice?: ResponseToolChoice
  parallel_tool_calls?: boolean | null
  /** `auto`: the oldest messages are dropped where there is no room. */
  truncation?: 'auto' | 'disabled' | null
  metadata?: Record<string, string> | null
}

/** `reasoning` is passed over. */
export type ResponseInputItem =
  | ResponseInputMessage
  | { type: 'function_call'; call_id: string; name: string; arguments: string; id?: string; status?: string }
  | { type: 'function_call_output'; call_id: string; output: string; id?: string; status?: string }
  | { type: 'reasoning'; id?: string; summary?: unknown; content?: unknown }

export interface ResponseInputMessage {
  type?: 'message'
  role: 'system' | 'developer' | 'user' | 'assistant'
  content: string | { type: 'input_text' | 'output_text'; text: string }[]
}

export interface OutputText {
  type: 'output_text'
  text: string
  annotations: never[]
}

export interface OutputMessage {
  id: string
  type: 'message'
  role: 'assistant'
  status: 'in_progress' | 'completed' | 'incomplete'
  content: OutputText[]
}

export interface FunctionCall {
  id: string
  type: 'function_call'
  status: 'in_progress' | 'completed' | 'incomplete'
  call_id: string
  name: string
  arguments: string
}

export type OutputItem = OutputMessage | FunctionCall

export interface ResponseUsage {
  input_tokens: number
  input_tokens_details: { cached_tokens: number; cache_write_tokens: number }
  output_tokens: number
  output_tokens_details: { reasoning_tokens: number }
  total_tokens: number
}

/** An answer of the Responses API; it is not stored: `previous_response_id` is refused. */
export interface ResponseObject {
  id: string
  object: 'response'
  created_at: number
  status: 'in_progress' | 'completed' | 'incomplete' | 'failed'
  model: string
  output: OutputItem[]
  /** All text of `output`. */
  output_text: string
  error: { code: 'server_error'; message: string } | null
  incomplete_details: { reason: 'max_output_tokens' } | null
  instructions: string | null
  metadata: Record<string, string>
  temperature: number | null
  top_p: number | null
  max_output_tokens: number | null
  parallel_tool_calls: boolean
  access_programs: null
  tool_choice: ResponseToolChoice
  tools: (ResponseTool & { strict: boolean | null })[]
  usage?: ResponseUsage
}

/** Each carries its place in the stream, beginning with 0. */
export type ResponseStreamEvent = { sequence_number: number } & ResponseEventBody

export type ResponseEventBody =
  | {
      type:
        | 'response.created'
        | 'response.in_progress'
        | 'response.completed'
        | 'response.incomplete'
        | 'response.failed'
      response: ResponseObject
    }
  | {
      type: 'response.output_item.added' | 'response.output_item.done'
      output_index: number
      item: OutputItem
    }
  | { type: 'response.function_call_arguments.delta'; item_id: string; output_index: number; delta: string }
  | {
      type: 'response.function_call_arguments.done'
      item_id: string
      output_index: number
      name: string
      arguments: string
    }
  | ({
      type: 'response.content_part.added' | 'response.content_part.done'
      part: OutputText
    } & PartPlace)
  | ({ type: 'response.output_text.delta'; delta: string; logprobs: never[] } & PartPlace)
  | ({ type: 'response.output_text.done'; text: string; logprobs: never[] } & PartPlace)

export interface PartPlace {
  item_id: string
  output_index: number
  content_index: number
}

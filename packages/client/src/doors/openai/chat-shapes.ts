import type { ChatToolCall, ChatToolCallDelta } from './chat-calls.ts'
import type { ChatMessageParam } from './chat-messages.ts'
import type { ChatTokenLogprob } from './chat-logprobs.ts'
import type { ResponseFormat } from './response-format.ts'
import type { SamplingFields, ServingExtras } from './sampling-fields.ts'
import type { ChatTool, ChatToolChoice } from './tool-fields.ts'
import type { CompletionUsage, FinishWord } from './usage.ts'

/** The part of OpenAI's request that a model in a tab can fulfil; the rest is refused with `unsupported_parameter`. */
export interface ChatCompletionParams extends SamplingFields, ServingExtras {
  model: string
  messages: ChatMessageParam[]
  max_completion_tokens?: number | null
  /** OpenAI's older name of `max_completion_tokens`. */
  max_tokens?: number | null
  logprobs?: boolean | null
  top_logprobs?: number | null
  response_format?: ResponseFormat
  tools?: ChatTool[]
  tool_choice?: ChatToolChoice
  parallel_tool_calls?: boolean
  /** vLLM's: handed to the chat template. */
  chat_template_kwargs?: Record<string, unknown>
  metadata?: Record<string, string> | null
}

/** An answer, as OpenAI's API writes it. */
export interface ChatCompletion {
  id: string
  object: 'chat.completion'
  created: number
  model: string
  choices: {
    index: number
    message: {
      role: 'assistant'
      /** `null` of an answer that is calls only. */
      content: string | null
      refusal: null
      tool_calls?: ChatToolCall[]
      /** What the model thought before it answered, as vLLM and others name it. */
      reasoning_content?: string
    }
    finish_reason: FinishWord
    logprobs: { content: ChatTokenLogprob[]; refusal: null } | null
  }[]
  usage: CompletionUsage
}

/** A piece of an answer; the last one has the usage, where `stream_options` asked for it. */
export interface ChatCompletionChunk {
  id: string
  object: 'chat.completion.chunk'
  created: number
  model: string
  choices: {
    index: number
    delta: {
      role?: 'assistant'
      content?: string
      tool_calls?: ChatToolCallDelta[]
      reasoning_content?: string
    }
    finish_reason: FinishWord | null
    logprobs: { content: ChatTokenLogprob[]; refusal: null } | null
  }[]
  /** With `include_usage`: `null` until the last chunk. */
  usage?: CompletionUsage | null
}

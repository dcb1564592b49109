import type { LanguageModelV4StreamPart } from '@ai-sdk/provider'
import type { DeltaEvent, ToolCall, ToolCallDelta } from '@tabserve/protocol'
import { callPart } from './content.ts'

type Parts = LanguageModelV4StreamPart[]

/** An answer's deltas as the stream's parts, each of which begins, goes on and ends before another begins. */
export class PartWriter {
  #open:
    { readonly type: 'text' | 'reasoning'; readonly id: string } | { readonly call: ToolCall } | undefined
  #numParts = 0

  take({ text, reasoning = '', toolCalls = [] }: DeltaEvent): Parts {
    return [
      ...(reasoning === '' ? [] : this.#say('reasoning', reasoning)),
      ...(text === '' ? [] : this.#say('text', text)),
      ...toolCalls.flatMap((delta) => this.#call(delta)),
    ]
  }

  /** An answer of nothing at all is an empty text. */
  end(): Parts {
    if (this.#numParts > 0) return this.#close()
    return [...this.#begin('text'), ...this.#close()]
  }

  #say(type: 'text' | 'reasoning', delta: string): Parts {
    const { type: openType, id = '' } = this.#open !== undefined && 'type' in this.#open ? this.#open : {}
    if (openType === type) return [{ type: `${type}-delta`, id, delta }]
    return [...this.#close(), ...this.#begin(type), ...this.#say(type, delta)]
  }

  #begin(type: 'text' | 'reasoning'): Parts {
    const id = String(this.#numParts++)
    this.#open = { type, id }
    return [{ type: `${type}-start`, id }]
  }

  #call({ id, name, arguments: delta }: ToolCallDelta): Parts {
    const begun: Parts = []
    if (id !== undefined && name !== undefined) {
      begun.push(...this.#close(), { type: 'tool-input-start', id, toolName: name })
      this.#open = { call: { id, name, arguments: '' } }
      this.#numParts++
    }
    if (this.#open === undefined || !('call' in this.#open)) return begun
    const { call } = this.#open
    this.#open = { call: { ...call, arguments: call.arguments + delta } }
    return [...begun, ...(delta === '' ? [] : [{ type: 'tool-input-delta' as const, id: call.id, delta }])]
  }

  #close(): Parts {
    const open = this.#open
    this.#open = undefined
    if (open === undefined) return []
    if ('type' in open) return [{ type: `${open.type}-end`, id: open.id }]
    return [{ type: 'tool-input-end', id: open.call.id }, callPart(open.call)]
  }
}

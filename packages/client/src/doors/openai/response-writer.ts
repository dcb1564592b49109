import type { ToolCallDelta } from '@tabserve/protocol'
import type { GenerationResult } from '../../generation.ts'
import type { AnswerEvent } from '../answer-stream.ts'
import { newId } from './identity.ts'
import { messageOf, partOf, usageOf } from './response-object.ts'
import type { FunctionCall, OutputMessage, ResponseEventBody, ResponseObject } from './response-shapes.ts'

interface Place<Item> {
  readonly index: number
  item: Item
}

/** A response as it grows. Its items are one message, where there is text or no call, and every call, in the order in which they begin. */
export class ResponseWriter {
  #response: ResponseObject
  #message: Place<OutputMessage> | undefined
  #text = ''
  readonly #calls: Place<FunctionCall>[] = []

  /** @param begin without an item. */
  constructor(begin: ResponseObject) {
    this.#response = begin
  }

  /** As far as it is known. Complete behind the answer's end. */
  get response(): ResponseObject {
    return this.#response
  }

  /** Takes what an answer says, and returns what is said of it. */
  take(event: AnswerEvent): ResponseEventBody[] {
    if (event.type === 'end') return this.#end(event.result)
    return [
      ...(event.text === '' ? [] : this.#say(event.text)),
      ...(event.toolCalls ?? []).flatMap((delta) => this.#call(delta)),
    ]
  }

  #say(text: string): ResponseEventBody[] {
    const begun = this.#message === undefined ? this.#begin() : []
    this.#text += text
    return [...begun, { type: 'response.output_text.delta', ...this.#textPlace, delta: text, logprobs: [] }]
  }

  #begin(): ResponseEventBody[] {
    const item = messageOf(newId('msg'), 'in_progress')
    this.#message = { index: this.#numItems, item }
    return [
      { type: 'response.output_item.added', output_index: this.#message.index, item },
      { type: 'response.content_part.added', ...this.#textPlace, part: partOf('') },
    ]
  }

  #call({ index, id, name, arguments: text }: ToolCallDelta): ResponseEventBody[] {
    const events: ResponseEventBody[] = []
    if (this.#calls[index] === undefined) {
      // The one before it is whole: nothing more comes of it.
      const before = this.#calls.at(-1)
      if (before !== undefined) events.push(...this.#endCall(before, 'completed'))
      const item: FunctionCall = {
        id: newId('fc'),
        type: 'function_call',
        status: 'in_progress',
        call_id: id ?? '',
        name: name ?? '',
        arguments: '',
      }
      this.#calls[index] = { index: this.#numItems, item }
      events.push({ type: 'response.output_item.added', output_index: this.#calls[index].index, item })
    }
    const call = this.#calls[index]
    call.item = { ...call.item, arguments: call.item.arguments + text }
    if (text !== '')
      events.push({
        type: 'response.function_call_arguments.delta',
        item_id: call.item.id,
        output_index: call.index,
        delta: text,
      })
    return events
  }

  #endCall(call: Place<FunctionCall>, status: FunctionCall['status']): ResponseEventBody[] {
    call.item = { ...call.item, status }
    const { id, name, arguments: text } = call.item
    return [
      {
        type: 'response.function_call_arguments.done',
        item_id: id,
        output_index: call.index,
        name,
        arguments: text,
      },
      { type: 'response.output_item.done', output_index: call.index, item: call.item },
    ]
  }

  #end({ finishReason, usage }: GenerationResult): ResponseEventBody[] {
    const isWhole = finishReason === 'stop' || finishReason === 'tool_calls'
    const status = isWhole ? 'completed' : 'incomplete'
    const events = this.#numItems === 0 ? this.#begin() : []
    if (this.#message !== undefined) events.push(...this.#endMessage(this.#message, status))
    const last = this.#calls.at(-1)
    if (last !== undefined) events.push(...this.#endCall(last, status))
    const places = [...(this.#message === undefined ? [] : [this.#message]), ...this.#calls]
    this.#response = {
      ...this.#response,
      status,
      incomplete_details: isWhole ? null : { reason: 'max_output_tokens' },
      output: places.toSorted((one, other) => one.index - other.index).map(({ item }) => item),
      output_text: this.#text,
      usage: usageOf(usage),
    }
    const type = isWhole ? ('response.completed' as const) : ('response.incomplete' as const)
    return [...events, { type, response: this.#response }]
  }

  #endMessage(message: Place<OutputMessage>, status: OutputMessage['status']): ResponseEventBody[] {
    const text = this.#text
    message.item = messageOf(message.item.id, status, text)
    return [
      { type: 'response.output_text.done', ...this.#textPlace, text, logprobs: [] },
      { type: 'response.content_part.done', ...this.#textPlace, part: partOf(text) },
      { type: 'response.output_item.done', output_index: message.index, item: message.item },
    ]
  }

  get #numItems(): number {
    return this.#calls.length + (this.#message === undefined ? 0 : 1)
  }

  get #textPlace() {
    return {
      item_id: this.#message?.item.id ?? '',
      output_index: this.#message?.index ?? 0,
      content_index: 0,
    }
  }
}

import type { Manifest, Tensors } from '@tabserve/protocol'
import type { ModelFiles } from '../models/model-files.ts'

/**
 * What a model's task does around its graph, for one item. Runs in the worker. Batching lies between the two: items of many requests are put together
 * after `preprocess`, and taken apart before `postprocess`.
 */
export interface Handler<Input, Output> {
  /**
   * One item as the graph's inputs, leading dimension 1, or as many rows as the item has. Throws `EngineError` `bad_request` for what it cannot read:
   * only this item fails.
   */
  preprocess(input: Input, context: HandlerContext): Tensors | Promise<Tensors>
  /** The rows of the graph's outputs that belong to this item. */
  postprocess(outputs: Tensors, context: HandlerContext): Output | Promise<Output>
}

/** What a handler knows of the request whose item it has. */
export interface HandlerContext {
  /** The request's own. */
  readonly parameters: Readonly<Record<string, unknown>>
  /** Fires when the request is cancelled or late. */
  readonly signal: AbortSignal
  /** What `postprocess` must know of `preprocess`, of this item only. */
  readonly item: Map<string, unknown>
}

/** Models whose work is not one pass (encoder and decoder, a loop) run passes themselves, on sessions that the runtime opens from the store. */
export interface MultiPass<Input, Output> {
  /** All passes of one item. Throws `EngineError` `bad_request` for what it cannot read: only this item fails. */
  run(input: Input, context: MultiPassContext): Promise<Output>
}

/** The same, and the graphs of the model. */
export interface MultiPassContext extends HandlerContext {
  /** One pass. @param session `main`, the manifest's `graph`, or a name in its `graphs`. Throws as `infer` does. */
  run(session: string, inputs: Tensors): Promise<Tensors>
}

/** A handler of either kind, whatever it takes and gives. */
export type AnyHandler = Handler<unknown, unknown> | MultiPass<unknown, unknown>

/** Makes a handler once a load, from the model's files: tokenizer, preprocessor_config, labels. Throws `bad_model`. */
export type HandlerFactory = (
  files: ModelFiles,
  manifest: Manifest,
  host: HandlerHost,
) => Promise<AnyHandler> | AnyHandler

/** What a handler may have of the worker that it runs in. */
export interface HandlerHost {
  /** A session of a further graph, as libraries bring small ones along; it lives as long as the worker. */
  openGraph(graph: Uint8Array): Promise<(inputs: Tensors) => Promise<Tensors>>
  /** transformers.js, fetched with the first call. Throws `network`. */
  importTransformers(): Promise<object>
}

/** Handlers by the name that a manifest's or a load's `handler` says. */
export type Handlers = Readonly<Record<string, HandlerFactory>>

/** What a handler takes and gives, for callers: `client.run<OutputOf<typeof mine>>`. */
export type InputOf<Made> =
  Made extends Handler<infer Input, unknown>
    ? Input
    : Made extends MultiPass<infer Input, unknown>
      ? Input
      : never
/** What a handler gives. */
export type OutputOf<Made> =
  Made extends Handler<never, infer Output>
    ? Output
    : Made extends MultiPass<never, infer Output>
      ? Output
      : never

import type { Handlers } from './handler.ts'

/** tabserve's own handlers, by the name that a manifest says. Those of a page's worker file come before them. */
export const HANDLERS: Handlers = {}

import type { Plugin } from 'rolldown'

const NOTHING = '\0no-onnxruntime'

/** transformers.js computes on our onnxruntime, which it finds on its own: the one that it imports is never called. */
export const withoutSecondEngine: Plugin = {
  name: 'tabserve-without-second-engine',
  resolveId: {
    order: 'pre',
    filter: { id: /^onnxruntime-web/ },
    handler: (_id, importer) =>
      importer?.includes('/@huggingface/transformers/') === true ? NOTHING : undefined,
  },
  load: (id) => (id === NOTHING ? 'export {}' : undefined),
}

import script from '@mlc-ai/web-xgrammar/lib/index.js?url'

/** Where the bundler put XGrammar, as an absolute URL: the worker has another base than the page. */
export const grammarAsset = new URL(script, import.meta.url).href

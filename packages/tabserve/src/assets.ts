import mjs from '@tabserve/runtime/ort.mjs?url'
import wasm from '@tabserve/runtime/ort.wasm?url'

/** Where the bundler put onnxruntime-web's own files, as absolute URLs: the worker has another base than the page. */
export const assets = {
  mjs: new URL(mjs, import.meta.url).href,
  wasm: new URL(wasm, import.meta.url).href,
}

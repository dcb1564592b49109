import asyncifyMjs from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url'
import asyncifyWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url'
import jspiMjs from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url'
import jspiWasm from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url'
import mjs from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url'
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'

/** Absolute: the worker has another base than the page. */
const absolute = (address: string) => new URL(address, import.meta.url).href

/** Where the bundler put onnxruntime-web's own files. */
export const ortAssets = {
  mjs: absolute(mjs),
  wasm: absolute(wasm),
  webgpu: {
    jspi: { mjs: absolute(jspiMjs), wasm: absolute(jspiWasm) },
    asyncify: { mjs: absolute(asyncifyMjs), wasm: absolute(asyncifyWasm) },
  },
}

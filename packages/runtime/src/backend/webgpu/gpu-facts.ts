import type { GpuFacts } from '@tabserve/protocol'

/** Adapters that compute on the CPU, by what they call themselves. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render|warp/i

/** What the browser says of its GPU, or why it has none to give. Cannot reject. */
export async function gpuFacts(): Promise<GpuFacts | { readonly missing: string }> {
  // Absent in insecure contexts and in browsers without WebGPU, whatever the types say.
  const gpu = navigator.gpu as GPU | undefined
  if (gpu === undefined) return { missing: 'this browser, or this page, which is not secure, has no WebGPU' }
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
    if (adapter === null) return { missing: 'the browser has WebGPU but no adapter for it' }
    return factsOf(adapter)
  } catch (error) {
    return { missing: `the browser refused an adapter: ${String(error)}` }
  }
}

function factsOf({ info, limits, features }: GPUAdapter): GpuFacts {
  const { vendor, architecture, description } = info
  return {
    vendor,
    architecture,
    description,
    isSoftware: info.isFallbackAdapter || SOFTWARE.test(`${vendor} ${architecture} ${description}`),
    hasHalf: features.has('shader-f16'),
    maxBufferBytes: limits.maxBufferSize,
    maxBindingBytes: limits.maxStorageBufferBindingSize,
  }
}

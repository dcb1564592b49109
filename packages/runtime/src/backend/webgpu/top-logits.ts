import { USAGE } from './gpu-flags.ts'

/** Threads that look through one row. */
const LANES = 256
const ENTRY_BYTES = 8

/**
 * One workgroup a row. The i-th round finds the best of what comes behind the (i−1)-th best: larger logits first, of equal ones the lowest id, so
 * that the choice at the edge is the sampler's own. k passes over a row that stays in the caches: k is small.
 */
const SHADER = /* wgsl */ `
struct Shape { vocabSize: u32, count: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> found: array<vec2<u32>>;
@group(0) @binding(2) var<uniform> shape: Shape;
var<workgroup> bestValues: array<f32, ${LANES}>;
var<workgroup> bestIds: array<u32, ${LANES}>;

fn isBetter(value: f32, id: u32, thanValue: f32, thanId: u32) -> bool {
  return value > thanValue || (value == thanValue && id < thanId);
}

@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let none = shape.vocabSize;
  let begin = group.x * shape.vocabSize;
  var lastValue = 0.0;
  var lastId = none;
  for (var round = 0u; round < shape.count; round++) {
    var value = 0.0;
    var id = none;
    for (var at = lane; at < shape.vocabSize; at += ${LANES}u) {
      let candidate = logits[begin + at];
      let isLeft = lastId == none || isBetter(lastValue, lastId, candidate, at);
      if (isLeft && (id == none || candidate > value)) {
        value = candidate;
        id = at;
      }
    }
    bestValues[lane] = value;
    bestIds[lane] = id;
    workgroupBarrier();
    for (var half = ${LANES / 2}u; half > 0u; half /= 2u) {
      if (lane < half) {
        let otherId = bestIds[lane + half];
        let other = bestValues[lane + half];
        if (otherId != none && (bestIds[lane] == none || isBetter(other, otherId, bestValues[lane], bestIds[lane]))) {
          bestValues[lane] = other;
          bestIds[lane] = otherId;
        }
      }
      workgroupBarrier();
    }
    lastValue = bestValues[0];
    lastId = bestIds[0];
    if (lane == 0u) {
      found[group.x * shape.count + round] = vec2<u32>(bitcast<u32>(lastValue), lastId);
    }
    workgroupBarrier();
  }
}
`

/** The largest logits of rows, found on the GPU. */
export class TopLogits {
  readonly #device: GPUDevice
  readonly #vocabSize: number
  readonly #pipeline: GPUComputePipeline
  readonly #shape: GPUBuffer
  #found: GPUBuffer | undefined

  constructor(device: GPUDevice, vocabSize: number) {
    this.#device = device
    this.#vocabSize = vocabSize
    const module = device.createShaderModule({ code: SHADER })
    this.#pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } })
    this.#shape = device.createBuffer({ size: 8, usage: USAGE.uniform | USAGE.copyTarget })
  }

  /**
   * Encodes the search for the `count` largest of each row of `logits`, float32 [rows, vocabSize]. The buffer is [rows, count] pairs of a float32 and
   * a uint32, the id, best first; it is this object's own until the next call.
   */
  encode(encoder: GPUCommandEncoder, logits: GPUBuffer, rows: number, count: number): GPUBuffer {
    const bytes = ENTRY_BYTES * rows * count
    if ((this.#found?.size ?? 0) < bytes) {
      this.#found?.destroy()
      const usage = USAGE.storage | USAGE.copySource
      this.#found = this.#device.createBuffer({ size: bytes, usage })
    }
    const found = this.#found!
    this.#device.queue.writeBuffer(this.#shape, 0, Uint32Array.of(this.#vocabSize, count))
    const pass = encoder.beginComputePass()
    pass.setPipeline(this.#pipeline)
    const buffers = [logits, found, this.#shape]
    const layout = this.#pipeline.getBindGroupLayout(0)
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }))
    pass.setBindGroup(0, this.#device.createBindGroup({ layout, entries }))
    pass.dispatchWorkgroups(rows)
    pass.end()
    return found
  }
}

/** Bytes of the result of `TopLogits`. */
export function topBytes(rows: number, count: number): number {
  return ENTRY_BYTES * rows * count
}

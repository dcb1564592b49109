import { expect, test } from 'playwright/test'
import type { DecoderGraph, GpuFacts, KvType, WeightForm } from '../../packages/protocol/src/index.ts'
import { formsOf } from '../../packages/runtime/src/backend/webgpu/half-form.ts'

const forms = (weights: WeightForm, hasHalf: boolean, kvType?: KvType) =>
  formsOf({ weights } as DecoderGraph, kvType, { hasHalf } as GpuFacts)

test('where the adapter has halves, weights that are no more exact are computed in them, and floats are the last resort', () => {
  for (const weights of ['q4', 'fp16'] as const)
    expect(forms(weights, true)).toEqual(['activations', 'attention', undefined])
  for (const weights of ['fp32', 'int8'] as const) expect(forms(weights, true)).toEqual([undefined])
})

test('float32 is floats in everything; float16 is halves, or nothing', () => {
  expect(forms('q4', true, 'float32')).toEqual([undefined])
  expect(forms('q4', true, 'float16')).toEqual(['activations', 'attention'])
  expect(forms('fp32', true, 'float16')).toEqual(['attention'])
})

test('without halves everything is floats, and float16 is refused; int8 always is', () => {
  for (const weights of ['q4', 'fp16', 'fp32', 'int8'] as const)
    expect(forms(weights, false)).toEqual([undefined])
  expect(() => forms('q4', false, 'float16')).toThrow(/shader-f16.*Leave out kvType, or device/)
  expect(() => forms('q4', true, 'int8')).toThrow(/needs the kernels/)
})

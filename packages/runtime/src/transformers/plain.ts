/** What a pipeline gave, as `structuredClone` takes it: tensors as `{ type, dims, data }`, pictures as `{ data, width, height, channels }`. */
export function plainOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
  if (Array.isArray(value)) return value.map(plainOf)
  if ('ort_tensor' in value) {
    const { type, dims, data } = value as unknown as { type: string; dims: readonly number[]; data: unknown }
    return { type, dims: [...dims], data }
  }
  if ('channels' in value && 'width' in value) {
    const { data, width, height, channels } = value as Readonly<Record<string, unknown>>
    return { data, width, height, channels }
  }
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plainOf(each)]))
}

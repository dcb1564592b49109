import type { PaddingOptions, TensorSpec, Tensors } from '@tabserve/protocol'

/** Where rows, and what is filled up, lie in each tensor of a graph. */
export interface BatchLayout {
  readonly inputs: ReadonlyMap<string, TensorAxes>
  readonly outputs: ReadonlyMap<string, TensorAxes>
  /** Bounds of lengths that go together, rising. Empty: only equal shapes do. */
  readonly buckets: readonly number[]
}

export interface TensorAxes {
  /** Along which rows lie. `undefined`: one for all rows, and the same in all items of a batch. */
  readonly row: number | undefined
  /** Along which items may differ in length. */
  readonly length: number | undefined
  /** What fills up. */
  readonly fill: number
}

/** A layout, or why items cannot go together. */
export type FoundLayout =
  | { readonly layout: BatchLayout; readonly reason: string }
  | { readonly layout: undefined; readonly reason: string }

/** Powers of 2: a batch computes at most twice what its shortest item needs. */
const BUCKETS = Array.from({ length: 17 }, (_, power) => 16 * 2 ** power)

/**
 * Finds where rows lie: the dimension of one name that every input has, but for those that have no open dimension of any name, like a sampling rate; and
 * every output, where exporters may have lost the name: then its first dimension, if that is open and none of the inputs'.
 * @param declared the dimension's name, instead of what is found; `null`: there is none.
 */
export function findLayout(
  inputs: readonly TensorSpec[],
  outputs: readonly TensorSpec[],
  declared?: string | null,
  padding?: PaddingOptions | false,
): FoundLayout {
  if (declared === null) return none('batching is turned off for this graph')
  const first = inputs.find((input) => namesOf(input).length > 0)
  const candidates = declared === undefined ? namesOf(first) : [declared]
  const ofInputs = new Set(inputs.flatMap(namesOf))
  const rowOf = (output: TensorSpec, name: string) => axisOf(output, name) ?? lostName(output, ofInputs)
  const name = candidates.find((name) => outputs.every((output) => rowOf(output, name) !== undefined))
  if (name === undefined || inputs.length === 0) return none(whyNone(inputs, outputs, declared))
  const stranger = inputs.find((input) => axisOf(input, name) === undefined && namesOf(input).length > 0)
  if (stranger !== undefined) return none(`the input ${stranger.name} has no dimension ${name}`)
  const pad = padding === undefined ? maskPadding(inputs, name) : padding === false ? undefined : padding
  const lengthAxis = (spec: TensorSpec) => (pad === undefined ? undefined : axisOf(spec, pad.dimension))
  const axesOfInput = (spec: TensorSpec): TensorAxes => ({
    row: axisOf(spec, name),
    length: lengthAxis(spec),
    fill: pad?.values?.[spec.name] ?? 0,
  })
  const axesOfOutput = (spec: TensorSpec): TensorAxes => {
    const row = rowOf(spec, name)
    const lost = pad === undefined ? undefined : lostLength(spec, row, ofInputs)
    return { row, length: lengthAxis(spec) ?? lost, fill: 0 }
  }
  const buckets = pad === undefined ? [] : (pad.buckets ?? BUCKETS)
  const padded = pad === undefined ? '' : `; lengths along ${pad.dimension} are filled up`
  return {
    layout: {
      inputs: new Map(inputs.map((input) => [input.name, axesOfInput(input)])),
      outputs: new Map(outputs.map((output) => [output.name, axesOfOutput(output)])),
      buckets,
    },
    reason: `rows lie along the dimension ${name}${padded}`,
  }
}

/** The rows of one item, where the layout says that there are any. */
export function rowsOf(inputs: Tensors, { inputs: axes }: BatchLayout): number {
  for (const [name, { row }] of axes) if (row !== undefined) return inputs[name]?.shape[row] ?? 1
  return 1
}

/** An item's length along the padded dimension. */
export function lengthOf(inputs: Tensors, { inputs: axes }: BatchLayout): number {
  for (const [name, { length }] of axes) if (length !== undefined) return inputs[name]?.shape[length] ?? 0
  return 0
}

/** Items of one kind may go together: their tensors agree in everything but rows and what can be filled up. `undefined`: it goes alone. */
export function kindOf(inputs: Tensors, { inputs: axes, buckets }: BatchLayout): string | undefined {
  const parts: string[] = []
  for (const [name, { row, length }] of axes) {
    const tensor = inputs[name]
    if (tensor === undefined) continue
    const sizes = tensor.shape.map((size, axis) =>
      axis === row ? '*' : axis === length ? `≤${bucketOf(size, buckets)}` : size,
    )
    parts.push(`${name} ${sizes.join('×')}`)
    if (row !== undefined) continue
    if (tensor.data.length > MOST_SHARED) return undefined
    parts.push(`= ${tensor.data.join()}`)
  }
  return parts.join(' · ')
}

/** Elements of a tensor that all rows share and that are compared with every other item's. */
const MOST_SHARED = 64

function bucketOf(size: number, buckets: readonly number[]): number {
  return buckets.find((bound) => size <= bound) ?? size
}

function axisOf({ shape }: TensorSpec, name: string): number | undefined {
  const axis = shape?.indexOf(name) ?? -1
  return axis < 0 || shape?.lastIndexOf(name) !== axis ? undefined : axis
}

/** An open first dimension that nobody has named, or an exporter has named anew. */
function lostName({ shape }: TensorSpec, ofInputs: ReadonlySet<string>): number | undefined {
  const first = shape?.[0]
  return typeof first === 'string' && !ofInputs.has(first) ? 0 : undefined
}

/** The same of lengths: the only other open dimension. It is cut only where it is as long as the longest item. */
function lostLength(
  { shape = [] }: TensorSpec,
  row: number | undefined,
  ofInputs: ReadonlySet<string>,
): number | undefined {
  const open = shape.flatMap((size, axis) =>
    typeof size === 'string' && axis !== row && !ofInputs.has(size) ? [axis] : [],
  )
  return open.length === 1 ? open[0] : undefined
}

/** Open dimensions in order: rows come first, nearly always. */
function namesOf(spec: TensorSpec | undefined): string[] {
  return (spec?.shape ?? []).filter((size): size is string => typeof size === 'string' && size !== '?')
}

/** Where the graph takes a mask beside its tokens, what the mask hides may be anything. */
function maskPadding(inputs: readonly TensorSpec[], rows: string): PaddingOptions | undefined {
  const mask = inputs.find(({ name }) => name === 'attention_mask')
  const [dimension, ...others] = namesOf(mask).filter((name) => name !== rows)
  if (dimension === undefined || others.length > 0) return undefined
  const isEverywhere = inputs.every((input) => axisOf(input, dimension) !== undefined)
  return isEverywhere ? { dimension } : undefined
}

function whyNone(
  inputs: readonly TensorSpec[],
  outputs: readonly TensorSpec[],
  declared: string | undefined,
): string {
  const input = inputs.find((each) => namesOf(each).length > 0) ?? inputs[0]
  if (input === undefined) return 'the graph has no inputs'
  if (declared !== undefined) return `not every output has the dimension ${declared}`
  const names = namesOf(input)
  if (names.length === 0) return `the input ${input.name} has no open dimension that rows could lie along`
  const output = outputs.find((spec) => names.every((name) => axisOf(spec, name) === undefined))
  return `the output ${output?.name ?? outputs[0]?.name} has none of the dimensions ${names.join(', ')}`
}

function none(reason: string): FoundLayout {
  return { layout: undefined, reason }
}

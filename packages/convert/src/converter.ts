export { convertPicked } from './browser/convert-picked.ts'
export type { PickedOptions } from './browser/convert-picked.ts'
export { ConvertError } from './convert-error.ts'
export type { MadeFile, ModelTarget } from './make-model.ts'

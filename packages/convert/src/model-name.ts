/** What a model is called by the name of its file or folder. */
export function modelName(source: string): string {
  return source.replace(/(?<=.)\.gguf$/, '').replaceAll(/[^\w.-]+/g, '-')
}

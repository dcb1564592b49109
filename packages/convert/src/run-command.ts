import { readFile } from 'node:fs/promises'
import { parseCommand } from './command-line.ts'
import type { Command } from './command-line.ts'
import { ConvertError, UsageError } from './convert-error.ts'
import { convertGguf } from './convert-gguf.ts'
import { convertHuggingFace } from './convert-huggingface.ts'
import { convertLlama2c } from './convert-llama2c.ts'
import { inspectModel } from './inspect.ts'
import { makeRandomModel } from './random-model.ts'
import { describeConversion, describeIndex, describeModel } from './report-text.ts'
import { USAGE } from './usage.ts'
import { writeIndex } from './write-index.ts'

/**
 * Does what a command line says, and tells the terminal. Exit codes: 0 done, 1 it could not be done, 2 the command line was wrong.
 * @param program how it was called: where it is part of another one, that one's name too.
 */
export async function runCommand(args: readonly string[], program = 'convert'): Promise<number> {
  const usage = USAGE.replaceAll(/^(usage:|      ) convert/gm, `$1 ${program}`)
  try {
    console.log(await run(parseCommand(args), usage))
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${usage}`)
      return 2
    }
    console.error(`${program}: ${messageOf(error)}`)
    return 1
  }
}

async function run(command: Command, usage: string): Promise<string> {
  switch (command.verb) {
    case 'help':
      return usage
    case 'inspect':
      return describeModel(await inspectModel(command.folder))
    case 'index':
      return describeIndex(command.folder, await writeIndex(command.folder, command.versionPolicy))
    case 'hf':
      return describeConversion(command.options.out, await convertHuggingFace(await withTexts(command)))
    case 'gguf':
      return describeConversion(command.options.out, await convertGguf(await withTexts(command)))
    case 'llama2c':
      return describeConversion(command.options.out, await convertLlama2c(await withTexts(command)))
    case 'random':
      return describeConversion(command.options.out, await makeRandomModel(await withTexts(command)))
  }
}

async function withTexts<T extends object>(command: {
  readonly options: T
  readonly texts: Readonly<Record<string, string | undefined>>
}): Promise<T> {
  const read = Object.entries(command.texts).map(async ([option, path]) =>
    path === undefined ? {} : { [option]: await readFile(path, 'utf8') },
  )
  return Object.assign({}, command.options, ...(await Promise.all(read))) as T
}

/** System errors (no such file, no space left) say enough in one line; a bug of ours shows where it is. */
export function messageOf(error: unknown): string {
  if (error instanceof ConvertError) return error.message
  if (error instanceof Error && 'code' in error) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

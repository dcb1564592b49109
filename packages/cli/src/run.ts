import { parseArgs } from 'node:util'
import { UsageError } from '@tabserve/convert'
import { messageOf, runCommand } from '@tabserve/convert/cli'
import { bench } from './bench/bench.ts'
import { inspect } from './inspect/inspect.ts'
import { serveFolder } from './serve-folder.ts'
import { USAGE } from './usage.ts'

/** Does what a command line says. Exit codes: 0 done, 1 it could not be done, 2 the command line was wrong. */
export async function run(args: readonly string[]): Promise<number> {
  const [verb, ...rest] = args
  if (verb === 'convert') return runCommand(rest, 'tabserve convert')
  try {
    await runVerb(verb, rest)
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${USAGE}`)
      return 2
    }
    console.error(`tabserve: ${messageOf(error)}`)
    return 1
  }
}

async function runVerb(verb: string | undefined, args: readonly string[]): Promise<void> {
  switch (verb) {
    case 'help':
    case '--help':
    case '-h':
      return console.log(USAGE)
    case 'inspect':
      return console.log(await inspect(only(parse(args, {}).positionals, 'PATH')))
    case 'serve': {
      const { values, positionals } = parse(args, {
        port: 'string',
        'not-isolated': 'boolean',
        cors: 'boolean',
      })
      return serveFolder({
        root: only(positionals.length === 0 ? ['.'] : positionals, 'FOLDER'),
        port: count(values['port'], 'port') ?? 8080,
        isolated: values['not-isolated'] !== true,
        cors: values['cors'] === true,
      })
    }
    case 'bench': {
      const { values, positionals } = parse(args, {
        'max-tokens': 'string',
        together: 'string',
        open: 'boolean',
        json: 'boolean',
      })
      return bench({
        model: only(positionals, 'MODEL'),
        maxTokens: count(values['max-tokens'], 'max-tokens') ?? 64,
        together: count(values['together'], 'together') ?? 4,
        open: values['open'] === true,
        json: values['json'] === true,
      })
    }
    default:
      throw new UsageError(verb === undefined ? 'nothing to do' : `unknown command ${JSON.stringify(verb)}`)
  }
}

type Values = Readonly<Record<string, string | boolean | undefined>>

function parse(
  args: readonly string[],
  types: Readonly<Record<string, 'string' | 'boolean'>>,
): { values: Values; positionals: readonly string[] } {
  const options = Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type }]))
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    return { values: values as Values, positionals }
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function only(positionals: readonly string[], what: string): string {
  const [first, second] = positionals
  if (first === undefined) throw new UsageError(`${what} is missing`)
  if (second !== undefined) throw new UsageError(`unexpected argument ${JSON.stringify(second)}`)
  return first
}

function count(value: string | boolean | undefined, name: string): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (Number.isSafeInteger(number) && number >= (name === 'port' ? 0 : 1)) return number
  throw new UsageError(`--${name} must be a whole number`)
}

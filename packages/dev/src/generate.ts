import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Page } from 'playwright'
import type { GenerationResult, ModelInfo } from 'tabserve'
import { launchPersistent } from './launch-browser.ts'
import { serve } from './serve.ts'

interface Options {
  readonly prompt: string
  readonly model: string
  readonly maxTokens: number
  readonly temperature: number
  readonly seed: number | undefined
}

interface Outcome {
  readonly info: ModelInfo
  readonly result: GenerationResult
}

/** `npm run generate -- "Once upon a time"`: the demo's job in a headless browser, its text and speed to the terminal. */
const options = readCommandLine()
const server = await serve({ root: join(import.meta.dirname, '../../../dist'), port: 0 })
const { context, close } = await launchPersistent()
try {
  const page = await context.newPage()
  await page.goto(new URL('/script-tag/blank.html', server.url).href)
  await page.exposeFunction('writeToTerminal', (text: string) => process.stdout.write(text))
  process.stdout.write(options.prompt)
  report(await generate(page, options))
} catch (error) {
  console.error(`\n${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
} finally {
  await close()
  await server.close()
}

function generate(page: Page, asked: Options): Promise<Outcome> {
  return page.evaluate(async ({ model, seed, ...request }) => {
    const client = await window.tabserve.createClient()
    const info = await client.load(model)
    const stream = client.generate({ ...request, model: info.id, ...(seed === undefined ? {} : { seed }) })
    for await (const { text } of stream) window.writeToTerminal(text)
    return { info, result: await stream }
  }, asked)
}

function report({ info, result }: Outcome): void {
  const { firstTokenMs = 0, totalMs } = result.timing
  const { graph } = info.manifest
  const rate = (1000 * (result.usage.completionTokens - 1)) / (totalMs - firstTokenMs)
  console.log(
    `\n\n${info.id}, ${graph.kind === 'decoder-gqa' ? graph.weights : graph.file}, KV ${info.runner}, ${info.threads} thread(s): ` +
      `${result.usage.completionTokens} tokens, ${rate.toFixed(1)} tokens/s, first token after ${firstTokenMs.toFixed(0)} ms, ` +
      `load ${(info.load.fetchMs + info.load.createMs + info.load.warmupMs).toFixed(0)} ms (${result.finishReason})`,
  )
}

function readCommandLine(): Options {
  try {
    const { values, positionals } = parseArgs({
      options: {
        model: { type: 'string', default: '/models/stories/v2/' },
        'max-tokens': { type: 'string', default: '200' },
        temperature: { type: 'string', default: '0.8' },
        seed: { type: 'string' },
      },
      allowPositionals: true,
    })
    const [prompt, ...more] = positionals
    if (prompt === undefined || more.length > 0) throw new Error('Give one prompt, in quotes.')
    const { model, temperature, seed } = values
    return {
      prompt,
      model,
      maxTokens: Number(values['max-tokens']),
      temperature: Number(temperature),
      seed: seed === undefined ? undefined : Number(seed),
    }
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error)
    const usage =
      'Usage: npm run generate -- [--model URL] [--max-tokens N] [--temperature T] [--seed N] "PROMPT"'
    console.error(`${problem}\n${usage}`)
    process.exit(2)
  }
}

import type * as Library from '@mlc-ai/web-xgrammar'
import type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from '@mlc-ai/web-xgrammar'
import type { Vocabulary } from './grammar-calls.ts'
import type { GrammarSpec } from './grammar-spec.ts'
import type { StructuralFormat } from './structural-format.ts'
import { replaceSchemas } from './structural-format.ts'

export type { GrammarMatcher }

/** Compiled grammars that are kept for the next request. */
const MAX_KEPT = 32

/**
 * The one door to XGrammar, which checks tokens against grammars. What it cannot compile makes its wasm abort, and the reason goes to the
 * console: it is caught there, and after an abort nothing of it is used again. So it runs in a worker of its own.
 */
export class XGrammar {
  readonly #library: typeof Library
  readonly #vocabulary: Vocabulary
  readonly #compilers = new Map<'plain' | 'with markers', Promise<GrammarCompiler>>()
  readonly #said: string[]
  readonly #compiled = new Map<string, CompiledGrammar>()

  /** @param script address of the package's `lib/index.js`. */
  static async load(script: string, vocabulary: Vocabulary): Promise<XGrammar> {
    const said = listenToConsole()
    await import(/* @vite-ignore */ /* webpackIgnore: true */ script)
    // A UMD file: imported as a module it puts itself on the global object.
    const library = (globalThis as { xgrammar?: typeof Library }).xgrammar
    if (library === undefined) throw new Error(`${script} is not XGrammar`)
    const grammars = new XGrammar(library, vocabulary, said)
    await grammars.#compiler('plain')
    return grammars
  }

  private constructor(library: typeof Library, vocabulary: Vocabulary, said: string[]) {
    this.#library = library
    this.#vocabulary = vocabulary
    this.#said = said
  }

  /** Where an answer begins. Throws where the grammar is wrong. */
  async start(spec: GrammarSpec): Promise<GrammarMatcher> {
    const key = JSON.stringify(spec)
    const compiled = this.#compiled.get(key) ?? (await this.#compile(spec))
    this.#compiled.delete(key)
    this.#compiled.set(key, compiled)
    for (const [oldest, grammar] of this.#compiled) {
      if (this.#compiled.size <= MAX_KEPT) break
      this.#compiled.delete(oldest)
      grammar.dispose() // matchers hold it on their own
    }
    return this.#library.GrammarMatcher.createGrammarMatcher(compiled)
  }

  async #compile(spec: GrammarSpec): Promise<CompiledGrammar> {
    this.#said.length = 0
    try {
      return await this.#compileKind(spec)
    } catch (cause) {
      throw new Error(reasonIn(this.#said) ?? String(cause), { cause })
    }
  }

  async #compileKind(spec: GrammarSpec): Promise<CompiledGrammar> {
    const compiler = await this.#compiler(spec.kind === 'structural-tag' ? 'with markers' : 'plain')
    switch (spec.kind) {
      case 'json-schema':
        return compiler.compileJSONSchema(spec.text, ...ON_ONE_LINE)
      case 'regex': {
        const format = { type: 'regex', pattern: spec.text } as const
        return compiler.compileStructuralTag({ type: 'structural_tag', format })
      }
      case 'ebnf':
        return compiler.compileGrammar(spec.text)
      case 'structural-tag': {
        const format = await replaceSchemas(JSON.parse(spec.text) as StructuralFormat, async (schema) => {
          const grammar = await this.#library.Grammar.fromJSONSchema(JSON.stringify(schema), ...ON_ONE_LINE)
          const text = grammar.toString()
          grammar.dispose()
          return { type: 'grammar', grammar: text }
        })
        return compiler.compileStructuralTag({ type: 'structural_tag', format })
      }
    }
  }

  #compiler(kind: 'plain' | 'with markers'): Promise<GrammarCompiler> {
    const compiler = this.#compilers.get(kind) ?? this.#newCompiler(kind === 'with markers')
    this.#compilers.set(kind, compiler)
    return compiler
  }

  async #newCompiler(withMarkers: boolean): Promise<GrammarCompiler> {
    const { tokens, kind, eosTokenIds, markers } = this.#vocabulary
    const texts = withMarkers ? tokens.map((token, id) => markers.get(id) ?? token) : [...tokens]
    const { TokenizerInfo, GrammarCompiler } = this.#library
    const info = await TokenizerInfo.createTokenizerInfo(texts, kind, false, texts.length, [...eosTokenIds])
    return GrammarCompiler.createGrammarCompiler(info)
  }
}

/** On one line, with the separators of Python's json.dumps: white space is no place for a model to get lost in. */
const ON_ONE_LINE: [anyWhitespace: false, indent: -1, separators: [string, string]] = [
  false,
  -1,
  [', ', ': '],
]

function listenToConsole(): string[] {
  const said: string[] = []
  console.error = console.warn = (text: unknown) => void said.push(String(text))
  return said
}

/** `[FATAL] file.cc:102: EBNF lexer error at line 1 …` */
function reasonIn(said: readonly string[]): string | undefined {
  const fatal = said.find((line) => line.startsWith('[FATAL]'))
  return fatal?.replace(/^\[FATAL\] \S+:\d+: /, '').trim()
}

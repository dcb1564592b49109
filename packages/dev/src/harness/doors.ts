import { createOpenAI } from '@ai-sdk/openai'
import { embed, generateObject, generateText, isStepCount, jsonSchema, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { createClient } from 'tabserve'
import { createTabserve } from 'tabserve/ai-sdk'
import { LanguageModel } from 'tabserve/prompt-api'

/** `window.doors`: other people's SDKs beside our client, as an app would bundle them. */
const doors = {
  OpenAI,
  createOpenAI,
  embed,
  generateObject,
  generateText,
  isStepCount,
  jsonSchema,
  streamText,
  tool,
  createClient,
  createTabserve,
  LanguageModel,
  /** A worker file as a page would own one. */
  ownWorker: () => new Worker(new URL('./own-worker.ts', import.meta.url), { type: 'module' }),
  /** One with the functions of a pipeline. */
  pipelineWorker: () => new Worker(new URL('./pipeline-worker.ts', import.meta.url), { type: 'module' }),
}

declare global {
  interface Window {
    doors: typeof doors
  }
}

window.doors = doors

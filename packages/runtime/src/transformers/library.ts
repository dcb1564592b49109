/** The whole library as a file of its own: processors and pipelines are looked for in it by the names that models say. */
export * from '@xenova/transformers'

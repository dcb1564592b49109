import type { Client } from '../client.ts'

/** What the doors use of a client, so that they can be tested without a worker. */
export type ServedClient = Pick<
  Client,
  'generate' | 'embed' | 'list' | 'describe' | 'stats' | 'tokenize' | 'tokenTexts'
>

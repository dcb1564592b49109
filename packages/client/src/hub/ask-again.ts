import type { Answer, EngineApi, ModelsApi } from '@tabserve/protocol'
import type { WorkerLink } from './worker-link.ts'

/** Calls that do no more when they are answered twice, and that nothing moves with. */
export type RepeatableApi = Pick<
  EngineApi,
  | Exclude<keyof ModelsApi, 'prefetch' | 'convert'>
  | 'clearCache'
  | 'listSessions'
  | 'deleteSession'
  | 'restoreSession'
  | 'tokenize'
  | 'tokenTexts'
>

/**
 * Asks the worker that `find` gives. Where it dies before it answers, whoever `find` gives then is asked, once: a call that kills workers ends. Throws
 * what is answered, what `find` throws, or `engine_lost`.
 */
export async function askAgain<T>(
  find: () => Promise<Pick<WorkerLink, 'link'>>,
  call: (api: RepeatableApi) => Promise<Answer<T>>,
): Promise<T> {
  const { link } = await find()
  try {
    return await link.call(call)
  } catch (error) {
    if (link.alive) throw error
    const next = await find()
    return next.link.call(call)
  }
}

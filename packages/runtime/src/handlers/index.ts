import type { OneShotTask, TaskShapes } from '@tabserve/protocol'
import { transcribe } from './audio/transcribe.ts'
import { voiceActivity } from './audio/voice-activity.ts'
import type { Handler, HandlerFactory, Handlers, MultiPass } from './handler.ts'
import { detect } from './image/detect.ts'
import { imageClassify } from './image/image-classify.ts'
import { TaskModel } from './task-model.ts'
import { classify } from './text/classify.ts'
import { embed } from './text/embed.ts'
import { rerank } from './text/rerank.ts'
import { split } from './text/split.ts'
import { tokenClassify } from './text/token-classify.ts'
import { zeroShot } from './text/zero-shot.ts'

/** Every task has a handler that takes and gives what `TaskShapes` says. */
const MAKERS: {
  readonly [Task in OneShotTask]: Maker<TaskShapes[Task]['input'], TaskShapes[Task]['output']>
} = {
  embed,
  classify,
  'zero-shot': zeroShot,
  'token-classify': tokenClassify,
  rerank,
  split,
  'image-classify': imageClassify,
  detect,
  'voice-activity': voiceActivity,
  transcribe,
}

type Maker<Input, Output> = (model: TaskModel) => Promise<Handler<Input, Output> | MultiPass<Input, Output>>

/** tabserve's own handlers, by the name that a manifest says. Those of a page's worker file come before them. */
export const HANDLERS: Handlers = Object.fromEntries(
  Object.entries(MAKERS).map(([name, make]): [string, HandlerFactory] => [
    name,
    (files, manifest, host) => make(TaskModel.of(files, manifest, host)),
  ]),
)

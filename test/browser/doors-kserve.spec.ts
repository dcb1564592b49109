import type { ModelStatistics } from '../../packages/client/src/doors/kserve/shapes.ts'
import { MODEL, expect, test } from './fixtures.ts'

test('KServe v2 answers over fetch: health, metadata, infer, repository, statistics', async ({
  doorsPage,
}) => {
  const found = await doorsPage.evaluate(async (url) => {
    const call = async (path: string, body?: unknown) => {
      const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
      const response = await window.client.fetch(`https://tabserve.local/v2${path}`, init)
      const text = await response.text()
      return { status: response.status, body: text === '' ? null : (JSON.parse(text) as unknown) }
    }
    const input = { name: 'text_input', datatype: 'BYTES', shape: [1], data: ['Once upon a time'] }
    const parameters = { max_tokens: 10, temperature: 0 }
    const native = await window.client.generate({
      model: 'stories',
      prompt: 'Once upon a time',
      maxTokens: 10,
      temperature: 0,
    })
    const answers = {
      live: await call('/health/live'),
      ready: await call('/health/ready'),
      server: await call(''),
      modelReady: await call('/models/stories/versions/1/ready'),
      otherReady: await call('/models/stories/versions/9/ready'),
      model: await call('/models/stories'),
      infer: await call('/models/stories/versions/1/infer', { id: 'a', inputs: [input], parameters }),
      wrongTensor: await call('/models/stories/infer', { inputs: [{ ...input, datatype: 'FP32' }] }),
      wrongOutput: await call('/models/stories/infer', { inputs: [input], outputs: [{ name: 'logits' }] }),
      stats: await call('/models/stories/stats'),
      loadUnknown: await call('/repository/models/nothing/load', {}),
      load: await call('/repository/models/stories/load', { parameters: { url, version: '2' } }),
      index: await call('/repository/index', {}),
      unload: await call('/repository/models/stories/unload', { parameters: { version: '2' } }),
      again: await call('/repository/models/stories/load', { parameters: { version: '2' } }),
      unloadAll: await call('/repository/models/stories/unload', {}),
      notReady: await call('/health/ready'),
      stored: await call('/repository/index', {}),
      gone: await call('/models/stories'),
    }
    return { answers, native: native.text, asObject: await window.client.kserve.serverMetadata() }
  }, MODEL.stories2)
  const { answers, native } = found
  expect(answers.live.status).toBe(200)
  expect(answers.ready.status).toBe(200)
  expect(answers.server.body).toEqual(found.asObject)
  expect([answers.modelReady.status, answers.otherReady.status]).toEqual([200, 503])
  expect(answers.model.body).toMatchObject({
    name: 'stories',
    versions: ['1'],
    inputs: [{ name: 'text_input', datatype: 'BYTES', shape: [1] }],
  })
  expect(answers.infer.body).toEqual({
    model_name: 'stories',
    model_version: '1',
    id: 'a',
    outputs: [{ name: 'text_output', datatype: 'BYTES', shape: [1], data: [native] }],
  })
  expect(answers.wrongTensor).toMatchObject({
    status: 400,
    body: { error: expect.stringContaining('BYTES') },
  })
  expect(answers.wrongOutput.status).toBe(400)
  expect(answers.stats.body).toMatchObject({
    model_stats: [
      {
        name: 'stories',
        version: '1',
        inference_stats: { success: { count: 2 }, queue: { count: 2 } },
        last_inference: expect.any(Number),
      },
    ],
  })
  const { model_stats } = answers.stats.body as { model_stats: ModelStatistics[] }
  const { inference_stats, inference_count, execution_count, batch_stats, last_inference } = model_stats[0]!
  const { success, compute_infer } = inference_stats
  expect(batch_stats.reduce((sum, { compute_infer: { count } }) => sum + count, 0)).toBe(execution_count)
  expect(
    batch_stats.reduce((sum, { batch_size, compute_infer: { count } }) => sum + batch_size * count, 0),
  ).toBe(inference_count)
  expect(compute_infer.ns).toBeGreaterThan(0)
  expect(Math.abs(Date.now() - last_inference)).toBeLessThan(60_000)
  expect(success.ns).toBeGreaterThan(0)
  expect(answers.loadUnknown).toMatchObject({
    status: 404,
    body: { error: expect.stringContaining('url') },
  })
  expect([
    answers.load.status,
    answers.unload.status,
    answers.again.status,
    answers.unloadAll.status,
  ]).toEqual([200, 200, 200, 200])
  expect(answers.index.body).toEqual([
    { name: 'stories', version: '1', state: 'READY', reason: '' },
    { name: 'stories', version: '2', state: 'READY', reason: '' },
  ])
  expect(answers.notReady.status).toBe(503)
  expect(answers.stored.body).toContainEqual({
    name: 'stories',
    version: '2',
    state: 'UNAVAILABLE',
    reason: 'not loaded; stored',
  })
  expect(answers.gone.status).toBe(404)
})

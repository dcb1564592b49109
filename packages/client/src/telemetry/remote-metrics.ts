import type { RemoteReport } from '../control/remote-traffic.ts'
import type { Metric, Sample } from './metric.ts'

/** Figures of the servers that answered in place of models here. vLLM has none such; the names follow its manner. */
export function remoteMetricsOf(reports: readonly RemoteReport[]): Metric[] {
  const perServer = (samplesOf: (report: RemoteReport) => readonly Sample[]) =>
    reports.flatMap((report) =>
      samplesOf(report).map(({ labels, value }) => ({
        labels: { alias: report.alias, server: report.url, model_name: report.model, ...labels },
        value,
      })),
    )
  return [
    {
      name: 'tabserve:remote_requests',
      help: 'Requests that a server was asked in place of a model here, by reason.',
      type: 'counter',
      samples: perServer(({ reasons }) =>
        Object.entries(reasons).map(([reason, value]) => ({ labels: { reason }, value })),
      ),
    },
    {
      name: 'tabserve:remote_request_failure',
      help: 'Requests that the server failed.',
      type: 'counter',
      samples: perServer(({ errors }) => [{ labels: {}, value: errors }]),
    },
    {
      name: 'tabserve:remote_requests_running',
      help: 'Requests that the server is answering.',
      type: 'gauge',
      samples: perServer(({ inFlight }) => [{ labels: {}, value: inFlight }]),
    },
  ]
}

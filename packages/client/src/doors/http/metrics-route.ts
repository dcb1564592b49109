import type { Metric } from '../../telemetry/metric.ts'
import { PROMETHEUS_TYPE, prometheusText } from '../../telemetry/prometheus.ts'
import type { RouteFamily } from './route.ts'
import { jsonResponse } from './route.ts'

/** `GET /metrics`, for whoever carries the text to a Prometheus: that cannot reach into a tab. */
export function metricsRoute(metrics: () => Promise<readonly Metric[]>): RouteFamily {
  return {
    prefix: '/metrics',
    routes: [
      {
        method: 'GET',
        path: /^$/,
        answer: async () =>
          new Response(prometheusText(await metrics()), { headers: { 'content-type': PROMETHEUS_TYPE } }),
      },
    ],
    fail: ({ message }, status) => jsonResponse({ error: message }, status),
  }
}

export { openTelemetry } from '@tabserve/client/opentelemetry'
export type { OpenTelemetryOptions } from '@tabserve/client/opentelemetry'

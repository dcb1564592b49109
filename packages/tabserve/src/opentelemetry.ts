/**
 * A telemetry hook that makes spans and metrics.
 *
 * @module tabserve/opentelemetry
 */

export { openTelemetry } from '@tabserve/client/opentelemetry'
export type { OpenTelemetryOptions } from '@tabserve/client/opentelemetry'

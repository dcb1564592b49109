/**
 * Metrics in Prometheus's text form.
 *
 * @module tabserve/prometheus
 */

export { PROMETHEUS_TYPE, prometheusText } from '@tabserve/client/prometheus'

export { PROMETHEUS_TYPE, prometheusText } from '@tabserve/client/prometheus'

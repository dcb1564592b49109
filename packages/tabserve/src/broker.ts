import { startBroker } from '@tabserve/worker/broker'

startBroker(self)

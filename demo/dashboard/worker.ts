import { startWorker } from 'tabserve/worker'

// A worker file of the page's own: so the page has the workers in its hands, and can kill one.
startWorker()

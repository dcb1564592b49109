import type { WorkerScope } from '@tabserve/client/service-worker'
import { isIsolationPolicy, isolatePages, takeOver } from '@tabserve/client/service-worker'

/** TypeScript takes `self` for a page's. */
const scope = self as unknown as WorkerScope

const policy = new URL(scope.location.href).searchParams.get('policy') ?? 'auto'
if (!isIsolationPolicy(policy)) throw new Error(`tabserve.isolation-worker.js: there is no policy ${policy}`)
takeOver(scope)
isolatePages(scope, { policy })

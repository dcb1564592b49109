/** Threads of each of `replicas` workers. They share the cores; and one worker alone leaves half of them to the page, which it takes at most 4 of. */
export function threadsPerReplica(cores: number, replicas: number): number {
  const alone = Math.min(4, Math.ceil(cores / 2))
  return Math.max(1, Math.min(alone, Math.floor(cores / Math.max(1, replicas))))
}

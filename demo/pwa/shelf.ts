const KEY = 'tabserve-notebook'
const MOST = 20

export interface Story {
  readonly opening: string
  readonly text: string
}

/** The stories of this device, the newest first. They outlive reloads and updates. */
export function savedStories(): readonly Story[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]')
    return Array.isArray(value) ? value.filter(isStory) : []
  } catch {
    return [] // not ours, or forbidden: an empty shelf
  }
}

/** Puts a story first, or puts it in the first one's place while that is being written. */
export function saveStory(story: Story, isGoingOn: boolean): void {
  const others = savedStories().slice(isGoingOn ? 1 : 0)
  try {
    localStorage.setItem(KEY, JSON.stringify([story, ...others].slice(0, MOST)))
  } catch {
    // Full or forbidden: the story stays on the page.
  }
}

function isStory(value: unknown): value is Story {
  const { opening, text } = (value ?? {}) as Partial<Record<keyof Story, unknown>>
  return typeof opening === 'string' && typeof text === 'string'
}

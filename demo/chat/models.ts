/** A model folder of this site. */
export interface ListedModel {
  readonly name: string
  readonly version: string
  readonly note: string
  /** Relative to this page; ends with a slash. */
  readonly folder: string
}

/** The models that the page offers. The first one is chosen when the page opens. */
export const MODELS: readonly ListedModel[] = [
  { name: 'Stories', version: '2', note: '3.3 M weights', folder: '../models/stories/v2/' },
  { name: 'Stories', version: '1', note: '1 M weights', folder: '../models/stories/v1/' },
]

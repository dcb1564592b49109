/** The element of the page with this id. Throws when the page and its script have grown apart. */
export function byId<T extends HTMLElement>(id: string, type: abstract new () => T): T {
  const found = document.getElementById(id)
  if (found instanceof type) return found
  throw new Error(`the page has no ${type.name} with the id ${id}`)
}

/** A new element with text, a class and a name for tests. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  { text = '', className = '', testId = '' } = {},
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  if (text !== '') element.textContent = text
  if (className !== '') element.className = className
  if (testId !== '') element.dataset['testid'] = testId
  return element
}

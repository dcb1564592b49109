const WHO = [
  'a little girl',
  'an old fox',
  'a brave mouse',
  'two friends',
  'a lonely robot',
  'a boy and his dog',
  'a tiny bird',
  'a sleepy bear',
]
const WHERE = [
  'by the sea',
  'in the forest',
  'in a big city',
  'on a farm',
  'near a mountain',
  'in a garden',
  'on a ship',
  'at school',
]

/** The beginning of story number `index`; the first 64 differ. */
export function opening(index: number): string {
  const who = WHO[index % WHO.length]
  const where = WHERE[(index + Math.floor(index / WHO.length)) % WHERE.length]
  return `Once upon a time there was ${who} ${where}. One day,`
}

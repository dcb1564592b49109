import { PACKAGE } from './bundles.ts'
import { buildPackage, pack } from './pack.ts'
import { packageSizes, sizesText } from './sizes.ts'

/** `npm run package`: makes and packs what is published, and says how large it is. */
await buildPackage()
console.log(sizesText(await packageSizes(PACKAGE)))
const { archive, bytes, files } = await pack(PACKAGE.replace(/dist$/, ''))
console.log(`\n${archive}: ${(bytes / 1e6).toFixed(1)} MB, ${files.length} files`)

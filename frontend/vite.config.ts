import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'

import { defineConfig, type Plugin } from 'vite'

// `npm run dev` shows changes at once and sends what is the API's to a bundle that runs.
const backend = process.env['TIRAGE_URL'] ?? 'http://127.0.0.1:3000'

export default defineConfig({
  plugins: [compressedCopies()],
  server: { proxy: { '/api': backend } },
  build: {
    // An inlined asset would be a data: URL in the page, which the site's security policy forbids
    // for all but images.
    assetsInlineLimit: 0,
  },
})

/** Puts a `.br` and a `.gz` beside each text file, which `functions/site` sends to whom takes them. */
function compressedCopies(): Plugin {
  return {
    name: 'compressed-copies',
    apply: 'build',
    async writeBundle(options, bundle) {
      const folder = options.dir ?? 'dist'
      const names = Object.keys(bundle).filter((name) => /\.(html|js|css|svg|json)$/.test(name))
      await Promise.all(names.map((name) => compress(join(folder, name))))
    },
  }
}

async function compress(file: string): Promise<void> {
  const content = await readFile(file)
  for (const [suffix, encode] of [
    ['.br', promisify(brotliCompress)],
    ['.gz', promisify(gzip)],
  ] as const) {
    const copy = await encode(content)
    if (copy.length < content.length) {
      await writeFile(file + suffix, copy)
    }
  }
}

// Runs sharp for `cargo xtask bench photo`: on one thread, warm, without a cache. The argument is a job in
// JSON; the result is printed as JSON.
//
// - {measure: [variant…], input, warm, rounds, output}: makes all variants in each round. Returns the
//   milliseconds of each round, the CPU milliseconds of all, and the peak memory of the process. Writes the
//   last round's variants to numbered files that begin with `output`.
// - {reference, width, height, output}: writes the pixels of the picture resized from all of its pixels,
//   without skipping any while decoding, as the reference for variants.
// - {pixels, output}: writes the pixels of a variant.
// A variant is {long_side, format, options}. Pixels are 8-bit RGB on white.

import { readFileSync, writeFileSync } from 'node:fs';
import sharp from 'sharp';

sharp.concurrency(1);
sharp.cache(false);

const job = JSON.parse(process.argv[2]);
console.log(JSON.stringify(await run(job)));

async function run(job) {
  if (job.measure) return measure(job);
  if (job.reference) {
    const { data, info } = await sharp(job.reference).raw().toBuffer({ resolveWithObject: true });
    const whole = sharp(data, { raw: info, limitInputPixels: false });
    return pixels(whole.resize(job.width, job.height, { fit: 'fill' }), job.output);
  }
  return pixels(sharp(job.pixels), job.output);
}

async function measure({ measure, input, warm, rounds, output }) {
  const file = readFileSync(input);
  const make = async () => {
    const variants = [];
    for (const { long_side, format, options } of measure) {
      const fit = { fit: 'inside', withoutEnlargement: true };
      variants.push(
        await sharp(file).autoOrient().resize(long_side, long_side, fit)[format](options).toBuffer(),
      );
    }
    return variants;
  };
  for (let round = 0; round < warm; round++) await make();
  const milliseconds = [];
  let variants;
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round++) {
    const begin = performance.now();
    variants = await make();
    milliseconds.push(performance.now() - begin);
  }
  const { user, system } = process.cpuUsage(before);
  variants.forEach((variant, index) => writeFileSync(`${output}${index}`, variant));
  return {
    milliseconds,
    cpu_milliseconds: (user + system) / 1000,
    peak_bytes: process.resourceUsage().maxRSS * 1024,
  };
}

async function pixels(picture, output) {
  const { data, info } = await picture
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  writeFileSync(output, data);
  return { width: info.width, height: info.height };
}

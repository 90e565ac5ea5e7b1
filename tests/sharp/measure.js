// sharp, as `cargo xtask bench photo` measures it: on one thread, without a cache, warm. Started with a
// job as its argument, it prints what came of it as JSON.
//
// - {measure: [print…], input, warm, rounds, output}: makes all prints in each round; answers with the
//   milliseconds of each, the CPU milliseconds of all, and the most memory of the process. The last
//   round's prints are written to `output`, numbered.
// - {reference, width, height, output}: the picture resized from all of its pixels, none skipped while
//   decoding: what prints are compared with.
// - {pixels, output}: the pixels of a print.
// A print is {long_side, format, options}. Pixels are red, green and blue on white, 8 bits.

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
    const made = [];
    for (const { long_side, format, options } of measure) {
      const fit = { fit: 'inside', withoutEnlargement: true };
      made.push(
        await sharp(file).autoOrient().resize(long_side, long_side, fit)[format](options).toBuffer(),
      );
    }
    return made;
  };
  for (let round = 0; round < warm; round++) await make();
  const milliseconds = [];
  let made;
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round++) {
    const begin = performance.now();
    made = await make();
    milliseconds.push(performance.now() - begin);
  }
  const { user, system } = process.cpuUsage(before);
  made.forEach((print, index) => writeFileSync(`${output}${index}`, print));
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

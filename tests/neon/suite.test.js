// Tests the SQL gateway with Neon's own driver and drizzle-orm.
//
// One file imports all tests, since `node --test` would start another process and database for each file.

import { after, before } from 'node:test';

import { client } from './both.js';
import { stop } from './stack.js';

before(() => client.connect());
after(async () => {
  await client.end();
  await stop();
});

await import('./types.js');
await import('./results.js');
await import('./transactions.js');
await import('./errors.js');
await import('./sessions.js');
await import('./drizzle.js');

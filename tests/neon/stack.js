// The programs that are tested, as anybody would run them: a private Postgres, and `tirage
// sql-gateway` in front of it.
//
// All end when their standard input closes, and so with this process, however that ends. The database
// goes away with its server.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { neonConfig } from '@neondatabase/serverless';
import { WebSocket as NodeWebSocket } from 'ws';

const PATIENCE = 60_000;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const devstack = process.env.TIRAGE_DEVSTACK ?? here('../../target/debug/tirage-devstack');
const tirage = process.env.TIRAGE ?? here('../../target/debug/tirage');
const running = [];

const postgres = JSON.parse(
  await start(devstack, ['postgres', '--temporary'], { ...process.env, RUST_LOG: 'error,postgres=off' }),
);
const owner = new URL(postgres.admin_url);
const password = randomBytes(16).toString('hex');

// One that lets in whom Postgres lets in, and one with accounts of its own.
const gateways = {
  'postgres.example': await gateway({ DATABASE_URL: postgres.url }),
  'own.example': await gateway({
    DATABASE_URL: postgres.url,
    DATABASE_URL_TESTS: postgres.admin_url,
    SQL_GATEWAY_PASSWORD: password,
  }),
};

neonConfig.fetchEndpoint = (host) => `http://${gateways[host]}/sql`;
neonConfig.wsProxy = (host) => `${gateways[host]}/v2`;
neonConfig.useSecureWebSocket = false;
// The environment's own, where it has one: Node 22, Deno, browsers.
neonConfig.webSocketConstructor = globalThis.WebSocket ?? NodeWebSocket;

/** What an application would have as its DATABASE_URL. */
export function databaseUrl({ user = owner.username, secret = owner.password, database = 'tirage' } = {}) {
  return `postgres://${user}:${secret}@postgres.example/${database}`;
}

/** The same for the gateway that has accounts of its own. */
export function ownAccountUrl({ user = owner.username, secret = password, database = 'tirage' } = {}) {
  return `postgres://${user}:${secret}@own.example/${database}`;
}

/** Stops what was started, the last first. */
export async function stop() {
  for (const child of running.reverse()) {
    if (child.exitCode === null) {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    }
  }
}

/** Starts a gateway; its address. */
async function gateway(settings) {
  const arguments_ = ['sql-gateway', '--manifest', here('spin.toml'), '--listen', '127.0.0.1:0', '--exit-with-stdin'];
  const ready = await start(tirage, arguments_, { RUST_LOG: 'warn', ...settings });
  return ready.replace('listening on http://', '');
}

/** Starts a program, and waits for the line that it prints when it is ready. */
async function start(program, args, env) {
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line', { signal: AbortSignal.timeout(PATIENCE) }),
    once(child, 'exit').then(([code]) => {
      throw new Error(`${program} ended with ${code}`);
    }),
  ]);
  running.push(child);
  return line[0];
}

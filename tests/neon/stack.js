// Starts the programs under test: a private Postgres, and `tirage sql-gateway` in front of it.
//
// All exit when their stdin closes, and so with this process. The database is temporary.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { neonConfig } from '@neondatabase/serverless';
import { WebSocket as NodeWebSocket } from 'ws';

const TIMEOUT_MS = 60_000;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const devstack = process.env.TIRAGE_DEVSTACK ?? here('../../target/debug/tirage-devstack');
const tirage = process.env.TIRAGE ?? here('../../target/debug/tirage');
const running = [];

const postgres = JSON.parse(
  await start(devstack, ['postgres', '--temporary'], { ...process.env, RUST_LOG: 'error,postgres=off' }),
);
const owner = new URL(postgres.admin_url);
const password = randomBytes(16).toString('hex');

// One gateway that authenticates with Postgres, and one with its own accounts.
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
// Node 22, Deno and browsers have their own.
neonConfig.webSocketConstructor = globalThis.WebSocket ?? NodeWebSocket;

/** Returns the DATABASE_URL of an application. */
export function databaseUrl({ user = owner.username, secret = owner.password, database = 'tirage' } = {}) {
  return `postgres://${user}:${secret}@postgres.example/${database}`;
}

/** Returns the DATABASE_URL for the gateway with its own accounts. */
export function ownAccountUrl({ user = owner.username, secret = password, database = 'tirage' } = {}) {
  return `postgres://${user}:${secret}@own.example/${database}`;
}

/** Stops all programs, the last started first. */
export async function stop() {
  for (const child of running.reverse()) {
    if (child.exitCode === null) {
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    }
  }
}

/** Starts a gateway and returns its address. */
async function gateway(settings) {
  const arguments_ = ['sql-gateway', '--manifest', here('spin.toml'), '--listen', '127.0.0.1:0', '--exit-with-stdin'];
  const ready = await start(tirage, arguments_, { RUST_LOG: 'warn', ...settings });
  return ready.replace('listening on http://', '');
}

/** Starts a program and returns the line that it prints when it is ready. */
async function start(program, args, env) {
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line', { signal: AbortSignal.timeout(TIMEOUT_MS) }),
    once(child, 'exit').then(([code]) => {
      throw new Error(`${program} exited with ${code}`);
    }),
  ]);
  running.push(child);
  return line[0];
}

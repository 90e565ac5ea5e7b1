// Runs the same query over HTTP and over a WebSocket, and compares the results.
//
// Over the WebSocket, the driver reads Postgres' own messages, which therefore are the reference.

import assert from 'node:assert/strict';
import { Client, neon } from '@neondatabase/serverless';

import { databaseUrl } from './stack.js';

/** The driver's HTTP client. */
export const sql = neon(databaseUrl(), { fullResults: true });
/** The driver's WebSocket client. */
export const client = new Client(databaseUrl());

/** The fields of an error besides its message. */
export const ERROR_FIELDS = [
  'severity',
  'code',
  'detail',
  'hint',
  'position',
  'internalPosition',
  'internalQuery',
  'where',
  'schema',
  'table',
  'column',
  'dataType',
  'constraint',
  'file',
  'line',
  'routine',
];

// Values as Postgres sends them, before the driver parses dates and numbers.
const RAW = { getTypeParser: () => (text) => text };

/** Checks that both results are equal, parsed and as raw text. Returns the parsed one. */
export async function same(text, values = [], { arrayMode = false } = {}) {
  let parsed;
  for (const types of [RAW, undefined]) {
    const [overHttp, overWebSocket] = await Promise.all([
      sql.query(text, values, { arrayMode, types }),
      client.query({ text, values, types, rowMode: arrayMode ? 'array' : undefined }),
    ]);
    parsed = result(overHttp);
    assert.deepEqual(parsed, result(overWebSocket), text);
  }
  return parsed;
}

/** Runs statements that both clients depend on. */
export async function prepare(...statements) {
  for (const statement of statements) {
    await client.query(statement);
  }
}

/** Returns the parts of a result that both clients have. */
export function result({ command, rowCount, rows, fields, rowAsArray }) {
  return { command, rowCount, rows, rowAsArray, fields: fields.map((field) => ({ ...field })) };
}

/** Checks that both clients fail with equal errors. Returns the error over HTTP. */
export async function sameError(text, values = []) {
  const [overHttp, overWebSocket] = await Promise.all([
    failure(sql.query(text, values)),
    failure(client.query(text, values)),
  ]);
  assert.deepEqual(error(overHttp), error(overWebSocket), text);
  return overHttp;
}

/** Returns the error of a rejected promise. */
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('expected a failure');
}

/** Returns the message and all fields of an error. */
export function error(thrown) {
  const fields = { message: thrown.message };
  for (const field of ERROR_FIELDS) {
    fields[field] = thrown[field];
  }
  return fields;
}

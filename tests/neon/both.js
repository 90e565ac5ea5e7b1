// The same question, asked over HTTP and over a WebSocket.
//
// What comes over the WebSocket is Postgres' own answer, which the driver reads: so it says what is
// right.

import assert from 'node:assert/strict';
import { Client, neon } from '@neondatabase/serverless';

import { databaseUrl } from './stack.js';

/** The driver's HTTP client. */
export const sql = neon(databaseUrl(), { fullResults: true });
/** The driver's WebSocket client. */
export const client = new Client(databaseUrl());

/** What an error says, besides its message. */
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

// What Postgres sent, before the driver makes dates and numbers of it.
const RAW = { getTypeParser: () => (text) => text };

/** Checks that the results are equal, as the driver reads them and to the letter; one of them. */
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

/** Runs statements that both ways depend on. */
export async function prepare(...statements) {
  for (const statement of statements) {
    await client.query(statement);
  }
}

/** The parts of a result that both ways have. */
export function result({ command, rowCount, rows, fields, rowAsArray }) {
  return { command, rowCount, rows, rowAsArray, fields: fields.map((field) => ({ ...field })) };
}

/** Checks that both ways fail alike, but for the fields in `except`; the error over HTTP. */
export async function sameError(text, values = []) {
  const [overHttp, overWebSocket] = await Promise.all([
    failure(sql.query(text, values)),
    failure(client.query(text, values)),
  ]);
  assert.deepEqual(error(overHttp), error(overWebSocket), text);
  return overHttp;
}

/** Why a promise was rejected. */
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it should have failed');
}

/** What an error says. */
export function error(thrown) {
  const said = { message: thrown.message };
  for (const field of ERROR_FIELDS) {
    said[field] = thrown[field];
  }
  return said;
}

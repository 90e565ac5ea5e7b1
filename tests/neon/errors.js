// Each kind of error has the same fields over HTTP and over a WebSocket.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Client, neon } from '@neondatabase/serverless';

import { client, error, failure, prepare, sameError, sql } from './both.js';
import { databaseUrl, ownAccountUrl } from './stack.js';

/** Connects a client over a WebSocket for the duration of `use`. */
async function withClient(url, use) {
  const own = new Client(url);
  // Errors also reject the pending call.
  own.on('error', () => {});
  try {
    await own.connect();
    return await use(own);
  } finally {
    await own.end();
  }
}

describe('errors', () => {
  before(() =>
    prepare(
      'create schema errors',
      'create table errors.parents (id int primary key, name text not null, size int constraint small check (size < 10), unique (name))',
      'create table errors.children (parent int constraint known references errors.parents)',
      "insert into errors.parents values (1, 'one', 1)",
      'create domain errors.positive as int constraint over_zero check (value > 0)',
      "create type errors.mood as enum ('sad')",
      `create function errors.raise() returns void language plpgsql as $$ begin
         raise exception 'it went %', 'wrong' using detail = 'a detail', hint = 'a hint',
           errcode = 'P0042', column = 'c', constraint = 'k', datatype = 'd', table = 't', schema = 's';
       end $$`,
      'create table errors.short (v varchar(2))',
      'create table errors.locked (id int primary key, n int)',
      'insert into errors.locked values (1, 0), (2, 0)',
    ),
  );

  for (const [code, text, values] of [
    ['42601', 'selec 1'],
    ['42601', 'select 1; select 2 from', [1]],
    ['42703', 'select nope'],
    ['42P01', 'select * from nowhere'],
    ['42883', 'select no_function(1)'],
    ['23505', "insert into errors.parents values (1, 'two', 1)"],
    ['23505', "insert into errors.parents values (2, 'one', 1)"],
    ['23503', 'insert into errors.children values (7)'],
    ['23514', "insert into errors.parents values (3, 'three', 10)"],
    ['23514', 'select $1::errors.positive', ['-1']],
    ['23502', 'insert into errors.parents values (4, null, 1)'],
    ['22012', 'select 1/0'],
    ['22P02', 'select $1::int', ['x']],
    ['22P02', "select 'happy'::errors.mood"],
    ['22P02', 'select $1::json', ['{']],
    ['22003', 'select $1::int2', ['40000']],
    ['22001', 'insert into errors.short values ($1)', ['abc']],
    ['22008', 'select $1::date', ['2024-02-30']],
    ['22021', 'select $1::text', ['a\0b']],
    ['08P01', 'select $1', [1, 2]],
    ['08P01', 'select $1::int, $2::int', [1]],
    ['42P18', 'select $2', [1, 2]],
    ['P0042', 'select errors.raise()'],
    ['42703', "do $$ begin execute 'select nope'; end $$"],
    ['42501', 'select * from pg_authid'],
    ['42P04', 'create database tirage'],
  ]) {
    test(`${code}: ${text}`, async () => {
      const thrown = await sameError(text, values);
      assert.equal(thrown.code, code);
    });
  }

  test('all fields of an error', async () => {
    const thrown = await sameError('select errors.raise()');
    const { message, detail, hint, column, constraint, dataType, table, schema } = thrown;
    assert.deepEqual(
      { message, detail, hint, column, constraint, dataType, table, schema },
      {
        message: 'it went wrong',
        detail: 'a detail',
        hint: 'a hint',
        column: 'c',
        constraint: 'k',
        dataType: 'd',
        table: 't',
        schema: 's',
      },
    );
  });

  for (const [gateway, urlOf] of [
    ["accounts of Postgres", databaseUrl],
    ["accounts of the gateway", ownAccountUrl],
  ]) {
    for (const [name, wrong, code] of [
      ['a wrong password', { secret: 'wrong' }, '28P01'],
      ['an unknown user', { user: 'nobody' }, '28P01'],
      ['an unknown database', { database: 'nowhere' }, '3D000'],
    ]) {
      test(`${name}, ${gateway}`, async () => {
        assert.deepEqual((await neon(urlOf())`select 1 as n`)[0], { n: 1 });
        const url = urlOf(wrong);
        const overHttp = await failure(neon(url)`select 1`);
        const overWebSocket = await failure(withClient(url, (own) => own.query('select 1')));
        assert.equal(overHttp.code, code);
        assert.deepEqual(error(overHttp), error(overWebSocket));
      });
    }
  }

  test('a deadlock', async () => {
    // Each locks one row, waits until the other has locked one too, and then updates that one.
    const update = (id) => `update errors.locked set n = n + 1 where id = ${id}`;
    const wait = `do $$ begin while (select count(*) from pg_locks where locktype = 'advisory') < 2 loop
      perform pg_sleep(0.01); end loop; end $$`;
    const [first, second] = [
      [update(1), 'select pg_advisory_xact_lock(1)', wait, update(2)],
      [update(2), 'select pg_advisory_xact_lock(2)', wait, update(1)],
    ];
    const overHttp = (statements) => sql.transaction(statements.map((text) => sql.query(text)));
    const overWebSocket = (statements) =>
      withClient(databaseUrl(), async (own) => {
        for (const text of ['begin', ...statements, 'commit']) {
          await own.query(text);
        }
      });
    const victims = [];
    for (const run of [overHttp, overWebSocket]) {
      const outcomes = await Promise.allSettled([run(first), run(second)]);
      victims.push(outcomes.find(({ status }) => status === 'rejected').reason);
    }
    // The details name processes and rows, which differ.
    const comparable = (thrown) => ({ ...error(thrown), detail: undefined, where: undefined });
    assert.equal(victims[0].code, '40P01');
    assert.deepEqual(...victims.map(comparable));
    for (const { detail, where } of victims) {
      assert.match(detail, /^Process \d+ waits for ShareLock on transaction \d+/);
      assert.match(where, /^while updating tuple/);
    }
  });

  test('a serialization failure', async () => {
    // The transaction takes a snapshot and waits. Another client updates the row that it then updates.
    const update = 'update errors.locked set n = n + 1 where id = 1';
    const isThere = (name) => `select from pg_stat_activity where application_name = '${name}'`;
    const statements = (signal) => [
      'select n from errors.locked',
      `do $$ begin while not exists (${isThere(signal)}) loop
         perform pg_stat_clear_snapshot(); perform pg_sleep(0.01); end loop; end $$`,
      update,
    ];
    const isWaiting = (signal) =>
      `select from pg_stat_activity where wait_event = 'PgSleep' and query like '%''${signal}''%'`;

    const overHttp = (texts) =>
      sql.transaction(texts.map((text) => sql.query(text)), { isolationLevel: 'RepeatableRead' });
    const overWebSocket = (texts) =>
      withClient(databaseUrl(), async (own) => {
        for (const text of ['begin isolation level repeatable read', ...texts, 'commit']) {
          await own.query(text);
        }
      });
    const thrown = [];
    for (const [run, signal] of [
      [overHttp, 'over http'],
      [overWebSocket, 'over websocket'],
    ]) {
      const failed = failure(run(statements(signal)));
      await withClient(databaseUrl(), async (other) => {
        while ((await other.query(isWaiting(signal))).rowCount === 0);
        await other.query(update);
        await other.query(`set application_name = '${signal}'`);
        thrown.push(await failed);
      });
    }
    assert.equal(thrown[0].code, '40001');
    assert.deepEqual(...thrown.map(error));
  });

  test('both clients still work after all errors', async () => {
    assert.deepEqual((await sql`select 1 as one`).rows, (await client.query('select 1 as one')).rows);
  });
});

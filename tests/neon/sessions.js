// Features that need a session, through the driver's WebSocket.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Client, Pool } from '@neondatabase/serverless';

import { client, prepare, sql } from './both.js';
import { databaseUrl } from './stack.js';

describe('sessions', () => {
  test('an interactive transaction', async () => {
    await prepare('create table accounts (name text primary key, balance int)');
    await prepare("insert into accounts values ('a', 100), ('b', 0)");
    const pool = new Pool({ connectionString: databaseUrl() });
    const one = await pool.connect();
    try {
      await one.query('begin');
      const { rows } = await one.query('select balance from accounts where name = $1 for update', ['a']);
      await one.query('update accounts set balance = balance - $1 where name = $2', [rows[0].balance / 2, 'a']);
      const meanwhile = await sql`select balance from accounts where name = 'a'`;
      assert.equal(meanwhile.rows[0].balance, 100);
      await one.query('commit');
      const afterwards = await sql`select balance from accounts where name = 'a'`;
      assert.equal(afterwards.rows[0].balance, 50);

      await one.query('begin');
      await one.query('delete from accounts');
      await one.query('rollback');
      const { rowCount } = await sql`select from accounts`;
      assert.equal(rowCount, 2);
    } finally {
      one.release();
      await pool.end();
    }
  });

  for (const pipelineConnect of ['password', false]) {
    test(`a login with pipelineConnect = ${pipelineConnect}`, async () => {
      const own = new Client(databaseUrl());
      own.neonConfig.pipelineConnect = pipelineConnect;
      await own.connect();
      const { rows } = await own.query('select $1::int as n', [7]);
      assert.deepEqual(rows, [{ n: 7 }]);
      await own.end();
    });
  }

  test('settings stay in their session', async () => {
    const pool = new Pool({ connectionString: databaseUrl() });
    const [one, other] = await Promise.all([pool.connect(), pool.connect()]);
    await one.query("set search_path = 'elsewhere'");
    const show = async (who) => (await who.query('show search_path')).rows[0].search_path;
    assert.equal(await show(one), 'elsewhere');
    assert.equal(await show(other), '"$user", public');
    assert.equal((await sql`show search_path`).rows[0].search_path, '"$user", public');
    one.release();
    other.release();
    await pool.end();
  });

  test('session settings in the connection string', async () => {
    const own = new Client(`${databaseUrl()}?application_name=mine&options=-c%20statement_timeout%3D1234ms`);
    await own.connect();
    const { rows } = await own.query(
      "select current_setting('application_name') as name, current_setting('statement_timeout') as timeout",
    );
    assert.deepEqual(rows, [{ name: 'mine', timeout: '1234ms' }]);
    await own.end();
  });

  test('prepared statements and notifications', async () => {
    const named = { name: 'double', text: 'select $1::int * 2 as n' };
    for (const value of [1, 2]) {
      const { rows } = await client.query({ ...named, values: [value] });
      assert.deepEqual(rows, [{ n: 2 * value }]);
    }
    await client.query('listen news');
    const heard = once(client, 'notification');
    await sql`select pg_notify('news', ${'hello'})`;
    const [{ channel, payload }] = await heard;
    assert.deepEqual([channel, payload], ['news', 'hello']);
    await client.query('unlisten news');
  });

  test('concurrent queries', async () => {
    const pool = new Pool({ connectionString: databaseUrl(), max: 20 });
    const numbers = Array.from({ length: 200 }, (_, index) => index);
    const results = await Promise.all(
      numbers.map((index) => pool.query('select $1::int as n, pg_sleep(0.001)', [index])),
    );
    assert.deepEqual(results.map(({ rows }) => rows[0].n), numbers);
    await pool.end();
  });
});

// The shape of results: command, count, fields, and rows as arrays or objects.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { neon, neonConfig, Pool } from '@neondatabase/serverless';

import { client, prepare, result, same, sql } from './both.js';
import { databaseUrl } from './stack.js';

describe('results', () => {
  before(() => prepare('create table counted (id serial primary key, n int)'));

  for (const [statement, values] of [
    ['create table made (n int)'],
    ['insert into counted (n) values (1), (2), (3)'],
    ['insert into counted (n) values ($1) returning n', [4]],
    ['update counted set n = n where n > $1', [1]],
    ['select n from counted where n > $1 order by n', [2]],
    ['select n from counted where false'],
    ['select'],
    ['values (1, 2), (3, 4)'],
    ['delete from counted where n = $1', [0]],
    ['explain (costs off) select 1'],
    ['show server_version'],
    ['set application_name = $$x$$'],
    ['do $$ begin end $$'],
    ['select id as a, n as a, 1 as a from counted limit 1'],
    ['table pg_class limit 0'],
  ]) {
    test(`command, count and fields of: ${statement}`, async () => {
      // Both clients run the statement once, so its effect is undone in between.
      const undo = statement.startsWith('create') ? 'drop table if exists made' : 'select 1';
      for (const arrayMode of [false, true]) {
        const overHttp = await sql.query(statement, values, { arrayMode });
        await client.query(undo);
        const overWebSocket = await client.query({
          text: statement,
          values,
          rowMode: arrayMode ? 'array' : undefined,
        });
        await client.query(undo);
        assert.deepEqual(result(overHttp), result(overWebSocket));
      }
    });
  }

  test('rows as arrays', async () => {
    const { rows, rowAsArray } = await same('select 1 as a, null as a', [], { arrayMode: true });
    assert.deepEqual([rows, rowAsArray], [[[1, null]], true]);
  });

  test('each of the options over HTTP', async () => {
    for (const arrayMode of [false, true]) {
      const rows = arrayMode ? [['x']] : [{ v: 'x' }];
      const plain = neon(databaseUrl(), { arrayMode });
      assert.deepEqual(await plain`select ${'x'} as v`, rows);
      const full = await neon(databaseUrl(), { arrayMode, fullResults: true })`select ${'x'} as v`;
      assert.deepEqual(full.rows, rows);
      assert.equal(full.rowAsArray, arrayMode);
      assert.deepEqual(await neon(databaseUrl()).query('select $1 as v', ['x'], { arrayMode }), rows);
    }
  });

  test('queries of a pool through fetch', async () => {
    const pool = new Pool({ connectionString: databaseUrl() });
    const text = 'select $1::int as n, $2::timestamptz as t';
    const values = [7, '2024-02-29T00:00:00Z'];
    const overWebSocket = await pool.query(text, values);
    neonConfig.poolQueryViaFetch = true;
    try {
      const overHttp = await pool.query(text, values);
      assert.ok(overHttp.viaNeonFetch);
      assert.deepEqual(result(overHttp), result(overWebSocket));
    } finally {
      neonConfig.poolQueryViaFetch = false;
      await pool.end();
    }
  });

  test('a long statement, many parameters and a large result', async () => {
    const values = Array.from({ length: 5000 }, (_, index) => index);
    const list = values.map((_, index) => `($${index + 1}::int)`).join(', ');
    const { rowCount } = await same(`select * from (values ${list}) as v (n)`, values);
    assert.equal(rowCount, 5000);
    const { rows } = await same("select repeat('é', 500000) as v, n from generate_series(1, 5) n");
    assert.equal(rows[4].v.length, 500_000);
  });
});

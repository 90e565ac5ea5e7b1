// A batch over HTTP has the same effect as the transaction written by hand.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import { client, error, failure, prepare, result, sql } from './both.js';

const LEVELS = {
  ReadUncommitted: 'read uncommitted',
  ReadCommitted: 'read committed',
  RepeatableRead: 'repeatable read',
  Serializable: 'serializable',
};

/** Returns all combinations of options, each with the equivalent `begin` statement. */
function options() {
  const all = [[{}, 'begin']];
  for (const [isolationLevel, level] of Object.entries(LEVELS)) {
    for (const readOnly of [undefined, false, true]) {
      for (const deferrable of [undefined, false, true]) {
        const words = [
          `begin isolation level ${level}`,
          readOnly === undefined ? '' : readOnly ? 'read only' : 'read write',
          deferrable === undefined ? '' : deferrable ? 'deferrable' : 'not deferrable',
        ];
        all.push([{ isolationLevel, readOnly, deferrable }, words.join(' ')]);
      }
    }
  }
  return all;
}

/** Runs the transaction by hand, with a rollback after an error. Returns all results. */
async function byHand(begin, statements) {
  const results = [];
  await client.query(begin);
  try {
    for (const statement of statements) {
      results.push(result(await client.query(statement)));
    }
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
  return results;
}

const batch = (statements, options) =>
  sql.transaction(statements.map((statement) => sql.query(statement)), options);

const count = async () => (await client.query('select count(*)::int as n from moved')).rows[0].n;

describe('transactions', () => {
  before(() => prepare('create table moved (n int unique deferrable initially deferred)'));

  for (const [chosen, begin] of options()) {
    test(begin, async () => {
      const asked = [
        'show transaction_isolation',
        'show transaction_read_only',
        'show transaction_deferrable',
        'select 1 as one',
      ];
      const overHttp = (await batch(asked, chosen)).map(result);
      assert.deepEqual(overHttp, await byHand(begin, asked));

      const writes = ['insert into moved values (1) returning n', 'delete from moved returning n'];
      if (chosen.readOnly) {
        const refused = await failure(batch(writes, chosen));
        assert.equal(refused.code, '25006');
        assert.deepEqual(error(refused), error(await failure(byHand(begin, writes))));
      } else {
        const overHttp = (await batch(writes, chosen)).map(result);
        assert.deepEqual(overHttp, await byHand(begin, writes));
      }
    });
  }

  test('a failed batch changes nothing', async () => {
    for (const [statements, code] of [
      [['insert into moved values (2)', 'select 1/0', 'insert into moved values (3)'], '22012'],
      // Fails at the commit, after all statements succeeded.
      [['insert into moved values (4)', 'insert into moved values (4)'], '23505'],
      [['insert into moved values (5)', 'no statement'], '42601'],
    ]) {
      const before = await count();
      const overHttp = await failure(batch(statements));
      assert.equal(overHttp.code, code);
      assert.deepEqual(error(overHttp), error(await failure(byHand('begin', statements))));
      assert.equal(await count(), before);
    }
  });

  test('statements see the effects of earlier ones, and have their own parameters and options', async () => {
    const results = await sql.transaction((own) => [
      own`insert into moved values (${10}), (${11})`,
      own.query('select n from moved where n >= $1 order by n', [10], { arrayMode: true }),
      own`delete from moved where n >= ${10}`,
    ]);
    assert.deepEqual(results[1].rows, [[10], [11]]);
    assert.deepEqual(results.map(({ command, rowCount }) => [command, rowCount]), [
      ['INSERT', 2],
      ['SELECT', 2],
      ['DELETE', 2],
    ]);
    assert.deepEqual(await sql.transaction([]), []);
  });
});

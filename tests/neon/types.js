// Every common type, as a result and as a parameter, alone and in arrays.

import { before, describe, test } from 'node:test';

import { prepare, same } from './both.js';

// Each type, the text of some of its values, and values in JavaScript.
const TYPES = [
  ['bool', ['true', 'false'], [true, false]],
  ['int2', ['0', '-32768', '32767'], [7]],
  ['int4', ['0', '-2147483648', '2147483647'], [7]],
  ['int8', ['0', '-9223372036854775808', '9007199254740993'], [7, 9007199254740993n]],
  ['float4', ['0', '-0', '1.5', '0.1', '3.4028235e38', 'NaN', 'Infinity', '-Infinity'], [0.1, NaN, Infinity]],
  ['float8', ['0', '-0', '0.1', '1e300', '5e-324', 'NaN', 'Infinity', '-Infinity'], [Math.PI, NaN, -Infinity]],
  ['numeric', ['0', '-0.00', '12345678901234567890.10', '1e-20', 'NaN', 'Infinity', '-Infinity'], [1.5]],
  ['numeric(10,2)', ['0', '1.005', '-99999999.99'], [1.5]],
  ['money', ['0', '-12.34'], []],
  ['text', ['', 'a', 'NULL', '{}', '"', "it's", 'a\\b', 'line\nfeed', 'tab\t', '日本 é 🎞️', '\u0001'], ['plain']],
  ['varchar', ['', 'a', 'ß,{}'], []],
  ['varchar(3)', ['', 'abc', 'äöü'], []],
  ['char(4)', ['', 'ab', 'äb'], []],
  ['"char"', ['a', 'z'], []],
  ['name', ['a', 'é'], []],
  ['bytea', ['\\x', '\\xdeadbeef', 'abc'], [Buffer.from([0, 1, 255]), new Uint8Array([65, 66])]],
  ['uuid', ['00000000-0000-0000-0000-000000000000', '{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}'], []],
  ['date', ['2024-02-29', '0044-03-15 BC', '9999-12-31', 'infinity', '-infinity'], []],
  ['time', ['00:00', '23:59:59.999999', '24:00'], []],
  ['timetz', ['16:17:18+01:00', '00:00:00-11:30'], []],
  ['timestamp', ['2024-02-29 12:34:56.789', '1969-12-31 23:59:59.999999', '0044-03-15 01:02 BC', 'infinity', '-infinity'], [new Date(0)]],
  ['timestamptz', ['2024-02-29 12:34:56.789+02', '1900-01-01 00:00+00', 'infinity', '-infinity'], [new Date(1e12)]],
  ['interval', ['0', '1 year 2 months 3 days 04:05:06.789', '-1 day +02:03', '1 microsecond'], []],
  ['json', ['null', '{"b": [1, null],"a":1.50}', '"x"', '[]', '1e400'], [{ a: ['"', { b: null }] }]],
  ['jsonb', ['null', '{"b": [1, null],"a":1.50}', '"x"', '[]', '9007199254740993'], [{ a: ['"', { b: null }] }]],
  ['inet', ['127.0.0.1', '10.0.0.1/8', '::1', '2001:db8::/32'], []],
  ['cidr', ['10.0.0.0/8', '2001:db8::/32'], []],
  ['macaddr', ['11:22:33:44:55:66'], []],
  ['point', ['(2,3)', '(-1.5,1e300)'], []],
  ['line', ['{1,2,3}'], []],
  ['lseg', ['[(0,0),(1,1)]'], []],
  ['box', ['(0,0),(1,1)'], []],
  ['path', ['((0,0),(1,1))', '[(0,0),(1,1)]'], []],
  ['polygon', ['((0,0),(1,1),(1,0))'], []],
  ['circle', ['<(2,3),1>'], []],
  ['int4range', ['[1,5)', 'empty', '(,)', '[1,]'], []],
  ['int8range', ['[1,9007199254740993)'], []],
  ['numrange', ['(1.5,2.5]'], []],
  ['daterange', ['[2024-02-28,2024-03-01)', '(,infinity)'], []],
  ['tsrange', ['["2024-02-29 12:00","2024-03-01 12:00")'], []],
  ['tstzrange', ['["2024-02-29 12:00+02","2024-03-01 12:00+02")'], []],
  ['int4multirange', ['{}', '{[1,3),[5,7)}'], []],
  ['bit(3)', ['101'], []],
  ['varbit', ['', '10101'], []],
  ['tsvector', ["'a' 'b':1A"], []],
  ['tsquery', ["'a' & !'b'"], []],
  ['oid', ['0', '4294967295'], [7]],
  ['pg_lsn', ['16/B374D848'], []],
  ['regclass', ['pg_class'], []],
  ['types.mood', ['sad', 'very happy', '"odd"'], []],
  ['types.positive', ['1', '2147483647'], [7]],
  ['types.numbers', ['{}', '{1,NULL,3}'], [[1, 2]]],
  ['types.pair', ['(1,a)', '(,"b ""c"",")', '(1,)'], []],
  ['types.nested', ['("(1,a)","{1,2}")'], []],
];

// Arrays of these don't exist in Postgres, or have another delimiter than drivers write.
const WITHOUT_ARRAY_PARAMETERS = ['box', 'types.numbers'];

before(() =>
  prepare(
    'create schema types',
    `create type types.mood as enum ('sad', 'very happy', '"odd"')`,
    'create domain types.positive as int check (value > 0)',
    'create domain types.numbers as int[]',
    'create type types.pair as (a int, b text)',
    'create type types.nested as (p types.pair, n int[])',
  ),
);

const literal = (text) => (text === null ? 'null' : `'${text.replaceAll("'", "''")}'`);

/** Returns a query of one row with a column for each expression. */
const columns = (expressions) =>
  `select ${expressions.map((expression, index) => `${expression} as v${index}`).join(', ')}`;

describe('types', () => {
  for (const [type, texts, natives] of TYPES) {
    const array = (...elements) => `array[${elements}]::${type}[]`;
    const [first, last] = [literal(texts[0]), literal(texts.at(-1))];

    test(`${type} as a result`, async () => {
      await same(columns([...texts, null].map((text) => `${literal(text)}::${type}`)));
      await same(
        columns([
          array(...texts.map(literal), 'null'),
          array(),
          `${array('null')}`,
          `null::${type}[]`,
          `array[[${first}, ${last}], [null, ${first}]]::${type}[]`,
        ]),
      );
    });

    test(`${type} as a parameter`, async () => {
      const values = [...texts, null, undefined, ...natives];
      await same(columns(values.map((_, index) => `$${index + 1}::${type}`)), values);
      if (WITHOUT_ARRAY_PARAMETERS.includes(type)) {
        return;
      }
      // The driver supports arrays of Buffer, but not of Uint8Array.
      const elements = natives.filter((value) => value.constructor !== Uint8Array);
      const arrays = [[...texts, null], [], [[texts[0], texts.at(-1)], [null, texts[0]]], elements];
      await same(columns(arrays.map((_, index) => `$${index + 1}::${type}[]`)), arrays);
    });
  }

  test('parameters of unspecified type', () =>
    same('select $1 as a, $2 as b, $3 as c, $4 as d, $5 as e, $6 as f', [
      1,
      'text',
      true,
      null,
      { a: 1 },
      [1, [2, 'x']].flat(),
    ]));

  test('arrays with custom bounds', () => same("select '[2:3]={1,2}'::int[] as v"));

  test('columns of a table', async () => {
    await prepare(
      'create table types.columns (id serial primary key, name varchar(20) not null, price numeric(8,2))',
      "insert into types.columns (name, price) values ('x', 1.5), ('y', null)",
    );
    await same('select *, price * 2 as twice from types.columns order by id');
    await same('update types.columns set price = $1 where id = $2 returning name, price', [2, 1]);
  });
});

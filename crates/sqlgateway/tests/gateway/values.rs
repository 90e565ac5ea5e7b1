//! Parameters and values: each type, raw and typed, in arrays and objects.

use serde_json::{Value, json};

use crate::support::Client;

/// Expressions, with their values as text and as JSON.
fn expressions() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("true", json!("t"), json!(true)),
        ("32767::int2", json!("32767"), json!(32767)),
        (
            "(-2147483648)::int4",
            json!("-2147483648"),
            json!(-2_147_483_648_i64),
        ),
        (
            "9007199254740993::int8",
            json!("9007199254740993"),
            json!("9007199254740993"),
        ),
        (
            "12345678901234567890.10::numeric",
            json!("12345678901234567890.10"),
            json!("12345678901234567890.10"),
        ),
        ("'NaN'::numeric", json!("NaN"), json!("NaN")),
        ("1.5::float4", json!("1.5"), json!(1.5)),
        ("0.1::float8", json!("0.1"), json!(0.1)),
        ("1::float8", json!("1"), json!(1.0)),
        ("1e300::float8", json!("1e+300"), json!(1e300)),
        ("'NaN'::float8", json!("NaN"), json!("NaN")),
        (
            "'-Infinity'::float4",
            json!("-Infinity"),
            json!("-Infinity"),
        ),
        ("'a\"b\\c'::text", json!("a\"b\\c"), json!("a\"b\\c")),
        ("E'ü\\n\\x01'::text", json!("ü\n\u{1}"), json!("ü\n\u{1}")),
        ("''::text", json!(""), json!("")),
        ("'ab'::char(4)", json!("ab  "), json!("ab  ")),
        (
            "'\\xdeadbeef'::bytea",
            json!("\\xdeadbeef"),
            json!("\\xdeadbeef"),
        ),
        (
            "'2024-02-29'::date",
            json!("2024-02-29"),
            json!("2024-02-29"),
        ),
        ("'infinity'::date", json!("infinity"), json!("infinity")),
        (
            "'2024-02-29 12:34:56.789'::timestamp",
            json!("2024-02-29 12:34:56.789"),
            json!("2024-02-29 12:34:56.789"),
        ),
        (
            "'-infinity'::timestamptz",
            json!("-infinity"),
            json!("-infinity"),
        ),
        (
            "timestamptz '2024-02-29 12:00+02' at time zone 'UTC'",
            json!("2024-02-29 10:00:00"),
            json!("2024-02-29 10:00:00"),
        ),
        (
            "'0 seconds'::interval",
            json!("00:00:00"),
            json!("00:00:00"),
        ),
        (
            "'11111111-2222-3333-4444-555555555555'::uuid",
            json!("11111111-2222-3333-4444-555555555555"),
            json!("11111111-2222-3333-4444-555555555555"),
        ),
        (
            "'{\"b\": [1, null],\"a\":1.50}'::json",
            json!("{\"b\": [1, null],\"a\":1.50}"),
            json!({"b": [1, null], "a": 1.5}),
        ),
        (
            "'{\"b\": [1], \"a\": 1}'::jsonb",
            json!("{\"a\": 1, \"b\": [1]}"),
            json!({"a": 1, "b": [1]}),
        ),
        ("'null'::jsonb", json!("null"), json!(null)),
        ("'\"x\"'::jsonb", json!("\"x\""), json!("x")),
        ("null::int", json!(null), json!(null)),
        (
            "'127.0.0.1/8'::inet",
            json!("127.0.0.1/8"),
            json!("127.0.0.1/8"),
        ),
        ("int4range(1, 5)", json!("[1,5)"), json!("[1,5)")),
        ("row(1, 'a')", json!("(1,a)"), json!("(1,a)")),
        ("array[1,2,3]::int4[]", json!("{1,2,3}"), json!([1, 2, 3])),
        (
            "array[[1,2],[3,null]]::int4[]",
            json!("{{1,2},{3,NULL}}"),
            json!([[1, 2], [3, null]]),
        ),
        ("'{}'::int4[]", json!("{}"), json!([])),
        ("'{}'::text[]", json!("{}"), json!([])),
        ("'[2:3]={1,2}'::int4[]", json!("[2:3]={1,2}"), json!([1, 2])),
        (
            "array[9007199254740993]::int8[]",
            json!("{9007199254740993}"),
            json!(["9007199254740993"]),
        ),
        (
            "array['a,b', 'NULL', null, '', '{x}', 'q\"b\\']",
            json!("{\"a,b\",\"NULL\",NULL,\"\",\"{x}\",\"q\\\"b\\\\\"}"),
            json!(["a,b", "NULL", null, "", "{x}", "q\"b\\"]),
        ),
        (
            "array[true,false,null]",
            json!("{t,f,NULL}"),
            json!([true, false, null]),
        ),
        (
            "array['NaN','Infinity',1.5]::float8[]",
            json!("{NaN,Infinity,1.5}"),
            json!(["NaN", "Infinity", 1.5]),
        ),
        (
            "array['{\"a\": [1]}', '[]']::jsonb[]",
            json!("{\"{\\\"a\\\": [1]}\",[]}"),
            json!([{"a": [1]}, []]),
        ),
        (
            "array['\\x01'::bytea]",
            json!("{\"\\\\x01\"}"),
            json!(["\\x01"]),
        ),
        (
            "array[box '((0,0),(1,1))', box '((2,2),(3,3))']",
            json!("{(1,1),(0,0);(3,3),(2,2)}"),
            json!(["(1,1),(0,0)", "(3,3),(2,2)"]),
        ),
        ("'1 2'::int2vector", json!("1 2"), json!("1 2")),
        ("'pg_class'::regclass", json!("pg_class"), json!("pg_class")),
    ]
}

#[tokio::test]
async fn every_type_typed_and_raw() {
    let client = Client::new();
    for (expression, text, value) in expressions() {
        let body = json!({"query": format!("select {expression} as v")}).to_string();
        let typed = client.send(&[], body.clone()).await.json();
        assert_eq!(typed["rows"], json!([{"v": value}]), "{expression}");
        let raw = client
            .send(&[("neon-raw-text-output", "true")], body)
            .await
            .json();
        assert_eq!(raw["rows"], json!([{"v": text}]), "{expression}");
    }
}

#[tokio::test]
async fn user_defined_types() {
    let client = Client::new();
    let created = client
        .batch(&[
            "create schema own_types",
            "create type own_types.mood as enum ('sad', 'very happy')",
            "create type own_types.pair as (a int, b text)",
            "create domain own_types.positive as int check (value > 0)",
            "create domain own_types.numbers as int[]",
            "create table own_types.t (m own_types.mood, ms own_types.mood[], p own_types.pair[], \
             d own_types.positive, n own_types.numbers, ds own_types.positive[])",
            "insert into own_types.t values ('sad', '{sad,\"very happy\"}', \
             array[row(1, 'x')]::own_types.pair[], 1, '{1,2}', '{1}')",
            // Only this transaction sees the types yet.
            "select * from own_types.t",
        ])
        .await
        .json();
    let expected = json!([{
        "m": "sad", "ms": ["sad", "very happy"], "p": ["(1,x)"], "d": 1, "n": [1, 2], "ds": ["1"],
    }]);
    assert_eq!(created["results"][7]["rows"], expected);
    assert_eq!(client.rows("select * from own_types.t").await, expected);
    // A new pool, and a single statement.
    assert_eq!(
        Client::new().rows("select * from own_types.t").await,
        expected
    );
}

#[tokio::test]
async fn parameters_of_every_json_kind() {
    let client = Client::new();
    for (expression, parameter, expected) in [
        ("$1", json!(42), json!("42")),
        ("$1 * 1", json!(42), json!(42)),
        (
            "$1::int8",
            json!(9_007_199_254_740_993_i64),
            json!("9007199254740993"),
        ),
        ("$1", json!(null), json!(null)),
        ("$1::bool", json!(true), json!(true)),
        ("$1", json!("it's \"ü\"\n\\"), json!("it's \"ü\"\n\\")),
        ("$1::int[]", json!([1, 2, 3]), json!([1, 2, 3])),
        ("$1::int[]", json!([]), json!([])),
        (
            "$1::int[]",
            json!([[1, null], [3, 4]]),
            json!([[1, null], [3, 4]]),
        ),
        (
            "$1::text[]",
            json!(["NULL", null, "a,b", "q\"\\", "line\nfeed", ""]),
            json!(["NULL", null, "a,b", "q\"\\", "line\nfeed", ""]),
        ),
        ("$1::json->'a'", json!({"a": {"b": 42}}), json!({"b": 42})),
        ("$1::jsonb[]", json!([{}]), json!([{}])),
        (
            "$1::jsonb[]",
            json!([{"foo": "}\""}, {"bar": 2}]),
            json!([{"foo": "}\""}, {"bar": 2}]),
        ),
        ("$1::jsonb", json!("[1,[2]]"), json!([1, [2]])),
        ("$1::bytea", json!("\\xdeadbeef"), json!("\\xdeadbeef")),
        ("$1::bool[]", json!([true, false]), json!([true, false])),
    ] {
        let answer = client
            .query(&format!("select {expression} as v"), json!([parameter]))
            .await;
        assert_eq!(
            answer["rows"],
            json!([{"v": expected}]),
            "{expression} {parameter}"
        );
    }
    // All digits are kept, which a JavaScript number could not do.
    let exact = client
        .send(
            &[],
            r#"{"query":"select $1::numeric as v","params":[12345678901234567890.123456789]}"#,
        )
        .await;
    assert_eq!(
        exact.json()["rows"][0]["v"],
        "12345678901234567890.123456789"
    );
}

#[tokio::test]
async fn fields_command_and_count() {
    let client = Client::new();
    let answer = client
        .query("select 1::int4 as n, 'x'::varchar(10) as s", json!([]))
        .await;
    assert_eq!(
        answer,
        json!({
            "fields": [
                {"name": "n", "dataTypeID": 23, "tableID": 0, "columnID": 0, "dataTypeSize": 4,
                 "dataTypeModifier": -1, "format": "text"},
                {"name": "s", "dataTypeID": 1043, "tableID": 0, "columnID": 0, "dataTypeSize": -1,
                 "dataTypeModifier": 14, "format": "text"},
            ],
            "rows": [{"n": 1, "s": "x"}],
            "command": "SELECT",
            "rowCount": 1,
            "rowAsArray": false,
        })
    );
    for (statement, command, count) in [
        (
            "create table counted (id serial primary key, n int)",
            "CREATE",
            json!(null),
        ),
        (
            "insert into counted (n) values (10), (20) returning id",
            "INSERT",
            json!(2),
        ),
        ("update counted set n = 0", "UPDATE", json!(2)),
        ("select * from counted", "SELECT", json!(2)),
        ("delete from counted where false", "DELETE", json!(0)),
        ("drop table counted", "DROP", json!(null)),
        ("", "", json!(null)),
    ] {
        let answer = client.query(statement, json!([])).await;
        assert_eq!(
            (&answer["command"], &answer["rowCount"]),
            (&json!(command), &count),
            "{statement}"
        );
    }
    // A field of a table has the numbers of the table and the column.
    let answer = client
        .query("select relname from pg_class limit 1", json!([]))
        .await;
    assert_eq!(answer["fields"][0]["tableID"], 1259);
    assert_eq!(answer["fields"][0]["columnID"], 2);
}

#[tokio::test]
async fn rows_as_arrays_by_header_and_by_query() {
    let client = Client::new();
    let header = [("neon-array-mode", "true")];
    let query = json!({"query": "select 1 as a, 'x' as a"});
    let answer = client.send(&header, query.to_string()).await.json();
    assert_eq!(
        (&answer["rows"], &answer["rowAsArray"]),
        (&json!([[1, "x"]]), &json!(true))
    );
    // The query's own setting takes precedence.
    let queries = json!({"queries": [
        {"query": "select $1 as answer", "params": [42], "arrayMode": true},
        {"query": "select $1 as answer", "params": [42], "arrayMode": false},
        {"query": "select $1 as answer", "params": [42]},
    ]});
    for (headers, last) in [
        (&header[..], json!([["42"]])),
        (&[], json!([{"answer": "42"}])),
    ] {
        let results = client.send(headers, queries.to_string()).await.json()["results"].take();
        assert_eq!(results[0]["rows"], json!([["42"]]));
        assert_eq!(results[1]["rows"], json!([{"answer": "42"}]));
        assert_eq!(results[2]["rows"], last);
    }
    // Only the value `true` is true.
    let answer = client
        .send(&[("neon-array-mode", "1")], query.to_string())
        .await
        .json();
    assert_eq!(answer["rowAsArray"], false);
}

#[tokio::test]
async fn json_that_is_ten_thousand_deep() {
    let client = Client::new();
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let answer = client
        .send(
            &[],
            json!({"query": "select $1::json as v", "params": [deep]}).to_string(),
        )
        .await;
    // Too deep for most parsers, so it is compared as text.
    match answer.status.as_u16() {
        200 => assert!(answer.text().contains(&format!("\"v\":{deep}"))),
        // Postgres may refuse it as too deep.
        _ => assert_eq!(answer.json()["code"], "54001", "{}", answer.text()),
    }
}

#[tokio::test]
async fn no_rows_and_no_columns() {
    let client = Client::new();
    assert_eq!(client.rows("select 1 as n where false").await, json!([]));
    assert_eq!(client.rows("select").await, json!([{}]));
}

#[tokio::test]
async fn every_catalog_can_be_read_typed() {
    let client = Client::new();
    let names = client.rows("select relname from pg_class where relkind in ('r', 'v') and relnamespace = 'pg_catalog'::regnamespace").await;
    for name in names.as_array().unwrap() {
        let name = name["relname"].as_str().unwrap();
        client
            .query(
                &format!("select * from pg_catalog.{name} limit 200"),
                json!([]),
            )
            .await;
    }
}

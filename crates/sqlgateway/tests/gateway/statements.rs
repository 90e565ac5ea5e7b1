//! Prepared statements are not visible in results, whatever happens to their tables.

use serde_json::{Value, json};
use tirage_sqlgateway::Settings;

use crate::support::{Client, superuser};

/// Number of uses after which a statement is prepared and executed prepared.
const OFTEN: usize = 6;

fn one_connection(statements: usize) -> Client {
    Client::with(
        superuser(),
        Settings {
            max_connections: 1,
            statements,
            ..Settings::default()
        },
    )
}

/// Returns the prepared statements that contain "marked", in order.
async fn kept(client: &Client) -> Vec<String> {
    let rows = client
        .rows(
            "select statement from pg_prepared_statements \
             where statement like '%marked%' and statement not like '%prepared%' order by 1",
        )
        .await;
    let texts = rows.as_array().unwrap().iter();
    texts
        .map(|row| row["statement"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_statement_is_prepared_when_it_is_repeated() {
    let client = one_connection(20);
    for _ in 0..2 {
        client
            .rows("select 'somebody''s secret, marked' as twice")
            .await;
    }
    for n in 0..OFTEN {
        let answer = client
            .query("select $1::int + 1 as n /* marked */", json!([n]))
            .await;
        assert_eq!(answer["rows"], json!([{"n": n + 1}]));
        assert_eq!(answer["fields"][0]["dataTypeID"], 23);
    }
    assert_eq!(
        kept(&client).await,
        ["select $1::int + 1 as n /* marked */"]
    );
}

#[tokio::test]
async fn the_cache_has_a_capacity() {
    let client = one_connection(12);
    for statement in 0..20 {
        for _ in 0..OFTEN {
            client.rows(&format!("select {statement} as marked")).await;
        }
    }
    let kept = kept(&client).await;
    assert!((1..=12).contains(&kept.len()), "{kept:?}");

    let client = one_connection(0);
    for _ in 0..OFTEN {
        client.rows("select 1 as marked").await;
    }
    assert!(self::kept(&client).await.is_empty());
}

#[tokio::test]
async fn changes_of_a_table_are_visible() {
    let client = one_connection(20);
    client
        .rows("create table changing (id int, secret text)")
        .await;
    client.rows("insert into changing values (1, 'a')").await;
    let all = "select * from changing where id = $1";
    for _ in 0..OFTEN {
        let rows = client.query(all, json!(["1"])).await["rows"].take();
        assert_eq!(rows, json!([{"id": 1, "secret": "a"}]));
    }
    client
        .rows("alter table changing add column more int default 7")
        .await;
    for _ in 0..OFTEN {
        let rows = client.query(all, json!(["1"])).await["rows"].take();
        assert_eq!(rows, json!([{"id": 1, "secret": "a", "more": 7}]));
    }
    client
        .rows("alter table changing alter id type text using 'x' || id")
        .await;
    for _ in 0..OFTEN {
        let rows = client.query(all, json!(["x1"])).await["rows"].take();
        assert_eq!(rows, json!([{"id": "x1", "secret": "a", "more": 7}]));
    }
    client.rows("drop table changing").await;
    for _ in 0..OFTEN {
        assert_eq!(client.error(all, json!(["x1"])).await["code"], "42P01");
    }
    client.rows("create table changing (id int)").await;
    for _ in 0..OFTEN {
        assert_eq!(client.query(all, json!(["1"])).await["rows"], json!([]));
    }
}

#[tokio::test]
async fn errors_are_the_same_for_prepared_statements() {
    let client = one_connection(20);
    client
        .rows("create table wrong (id int primary key check (id > 0))")
        .await;
    client.rows("insert into wrong values (1)").await;
    for (statement, params) in [
        ("select $1::int, $2", json!(["1"])),
        ("select $1::int", json!(["x"])),
        ("select 1 / $1::int", json!(["0"])),
        ("select nothing from wrong", json!([])),
        ("insert into wrong values ($1)", json!(["1"])),
        ("insert into wrong values ($1)", json!(["-1"])),
        ("select 1; select 2", json!([])),
    ] {
        let first = client.error(statement, params.clone()).await;
        for _ in 0..OFTEN {
            assert_eq!(client.error(statement, params.clone()).await, first);
        }
    }
}

#[tokio::test]
async fn deallocating_everything_affects_no_other_request() {
    let client = one_connection(20);
    client.rows("create table spared (n int)").await;
    let insert = "insert into spared values (1)";
    for round in 1..=OFTEN {
        client.rows(insert).await;
        client.rows("select count(*) from spared").await;
        for statement in ["deallocate all", "discard all", "discard plans"] {
            client.rows(statement).await;
            let count = client.rows("select count(*)::int as n from spared").await;
            assert_eq!(count, json!([{"n": round}]), "after {statement}");
        }
    }
    // In the middle of a batch.
    for round in 1..=OFTEN {
        let answer = client
            .batch(&[insert, "deallocate all", insert, "select 1"])
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let count = client.rows("select count(*)::int as n from spared").await;
        assert_eq!(count, json!([{"n": OFTEN + 2 * round}]));
    }
}

#[tokio::test]
async fn a_batch_with_an_outdated_statement_takes_effect_once() {
    let client = one_connection(20);
    client.rows("create table counted_once (n int)").await;
    client.rows("create table altered (a int)").await;
    let batch = [
        "insert into counted_once values (1)",
        "select * from altered",
    ];
    let columns = async || -> Value {
        let answer = client.batch(&batch).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["results"][1]["fields"]
            .as_array()
            .unwrap()
            .len()
            .into()
    };
    for _ in 0..OFTEN {
        assert_eq!(columns().await, 1);
    }
    client.rows("alter table altered add b int").await;
    assert_eq!(columns().await, 2);
    let count = client
        .rows("select count(*)::int as n from counted_once")
        .await;
    assert_eq!(count, json!([{"n": OFTEN + 1}]));
}

#[tokio::test]
async fn a_statement_that_was_skipped_when_it_was_to_be_prepared_still_works() {
    let client = one_connection(20);
    let skipped = "select 'skipped, marked' as v";
    for _ in 0..2 {
        client.rows(skipped).await;
    }
    for _ in 0..OFTEN {
        let answer = client.batch(&["select 1 / 0", skipped]).await;
        assert_eq!(answer.status, 400);
    }
    for _ in 0..OFTEN {
        let rows = client.rows(skipped).await;
        assert_eq!(rows, json!([{"v": "skipped, marked"}]));
    }
    assert_eq!(kept(&client).await, [skipped]);
}

#[tokio::test]
async fn one_statement_many_times_in_a_batch() {
    let client = one_connection(20);
    for _ in 0..OFTEN {
        let answer = client.batch(&["select 1 as many_times"; OFTEN]).await;
        let results = answer.json()["results"].as_array().unwrap().clone();
        assert_eq!(results.len(), OFTEN);
        for result in results {
            assert_eq!(result["rows"], json!([{"many_times": 1}]));
            assert_eq!(result["fields"][0]["name"], "many_times");
        }
    }
}

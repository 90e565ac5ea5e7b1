//! A session is cleaned between two requests: the second finds nothing of the first, whether it comes
//! immediately or later, and is executed once.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tirage_postgres::{Config, Connection};

use crate::leaks::{OFTEN, is_not_seen, leaks_of_a_plain_role, one_connection, set_up, value};
use crate::support::{Client, ask, new_role, run_as_superuser, superuser};

/// Pauses between two requests.
const PAUSES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(200),
];

/// A client whose only session has been used and cleaned before.
async fn used(config: Config) -> Client {
    let client = one_connection(config);
    for _ in 0..OFTEN {
        value(&client, "select 1").await;
    }
    client
}

#[tokio::test]
async fn a_role_or_a_temporary_table_of_one_request_does_not_reach_the_next() {
    let config = new_role("left_behind").await;
    run_as_superuser("grant pg_monitor to left_behind").await;
    let setup = one_connection(config.clone());
    set_up(&setup).await;
    setup.rows("create table added (n int)").await;
    let rare = ["set role pg_monitor", "create temp table rare (n int)"];
    for (round, (leak, wait)) in rare
        .into_iter()
        .flat_map(|leak| PAUSES.map(|wait| (leak, wait)))
        .enumerate()
    {
        let client = used(config.clone()).await;
        let pid = value(&client, "select pg_backend_pid()").await;
        let answer = ask(&client, "select leave($1)", json!([leak])).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        tokio::time::sleep(wait).await;
        let add = "insert into added values (1)
                   returning current_user || coalesce(to_regclass('rare')::text, '')";
        assert_eq!(value(&client, add).await, "left_behind", "{leak} {wait:?}");
        let count = value(&setup, "select count(*) from added").await;
        assert_eq!(count, (round + 1).to_string(), "{leak} {wait:?}");
        assert_eq!(value(&client, "select pg_backend_pid()").await, pid);
    }
}

#[tokio::test]
async fn a_batch_after_a_leak_is_executed_once() {
    let config = new_role("batch_behind").await;
    let setup = one_connection(config.clone());
    set_up(&setup).await;
    setup.rows("create table added (n int)").await;
    for wait in PAUSES {
        let client = used(config.clone()).await;
        ask(
            &client,
            "select leave('create temp table added (n int)')",
            json!([]),
        )
        .await;
        tokio::time::sleep(wait).await;
        let answer = client
            .batch(&[
                "insert into added values (1)",
                "delete from added",
                "insert into added values (2)",
            ])
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(
            value(&setup, "select string_agg(n::text, '') from added").await,
            "2",
            "{wait:?}"
        );
    }
}

#[tokio::test]
async fn no_leak_of_a_plain_role_reaches_the_next_request_in_a_used_session() {
    let config = new_role("leaves_behind").await;
    run_as_superuser("grant pg_monitor to leaves_behind").await;
    set_up(&one_connection(config.clone())).await;
    for leak in leaks_of_a_plain_role() {
        is_not_seen(&used(config.clone()).await, leak).await;
    }
}

/// Serializable, read only, deferrable transactions wait until no serializable transaction writes.
#[tokio::test]
async fn the_cleaning_does_not_wait_for_other_transactions() {
    let config = new_role("waits_for_others").await;
    let setup = one_connection(config.clone());
    set_up(&setup).await;
    setup.rows("create table written (n int)").await;
    let mut writer = Connection::connect(&config).await.unwrap();
    writer
        .batch_execute("begin isolation level serializable; insert into written values (1)")
        .await
        .unwrap();
    let client = used(config).await;
    let leave = "set session characteristics as transaction \
                 isolation level serializable, read only, deferrable";
    let answer = ask(&client, "select leave($1)", json!([leave])).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let next = tokio::time::timeout(Duration::from_secs(10), value(&client, "select 1")).await;
    assert_eq!(next.unwrap(), "1");
    writer.batch_execute("rollback").await.unwrap();
}

#[tokio::test]
async fn an_unused_session_is_idle() {
    for config in [new_role("soon_idle").await, superuser()] {
        let client = used(config).await;
        let pid = value(&client, "select pg_backend_pid()").await;
        let pid = pid.as_str().unwrap();
        let state = format!(
            "select state || coalesce(xact_start::text, '') from pg_stat_activity where pid = {pid}"
        );
        let other = one_connection(superuser());
        for _ in 0..100 {
            if value(&other, &state).await == "idle" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(value(&other, &state).await, "idle");
        assert_eq!(value(&client, "select pg_backend_pid()").await, pid);
    }
}

/// The server's timeouts for statements and idle transactions don't apply between requests.
#[tokio::test]
async fn an_unused_session_is_in_no_statement_and_no_transaction() {
    let config = new_role("impatient").await;
    for limit in [
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "lock_timeout",
    ] {
        run_as_superuser(&format!("alter role impatient set {limit} = '15ms'")).await;
    }
    let client = used(config).await;
    let pid = value(&client, "select pg_backend_pid()").await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(35)).await;
        assert_eq!(value(&client, "select pg_backend_pid()").await, pid);
    }
}

/// The session is terminated between two requests.
#[tokio::test]
async fn a_session_that_the_server_has_closed_is_replaced() {
    let config = new_role("leaves_early").await;
    let setup = one_connection(config.clone());
    setup.rows("create table added (n int)").await;
    let other = one_connection(superuser());
    for round in 1..=20 {
        let client = used(config.clone()).await;
        let pid = value(&client, "select pg_backend_pid()").await;
        let end = format!("select pg_terminate_backend({})", pid.as_str().unwrap());
        // The gateway may or may not notice it before it sends the next request.
        value(&other, &end).await;
        value(&client, "insert into added values (1) returning 1").await;
        let count = value(&setup, "select count(*) from added").await;
        assert_eq!(count, round.to_string());
    }
}

/// Functions of some extensions refuse to run in a transaction block. This one fails with the same error
/// at every other call; it counts calls with a sequence, which a rollback doesn't reset.
#[tokio::test]
async fn a_statement_that_refuses_to_run_in_a_transaction_block_runs_without() {
    let client = one_connection(superuser());
    client.rows("create table ran (n int)").await;
    client.rows("create sequence tries").await;
    client
        .rows(
            "create function refuse() returns int language plpgsql as $$ begin \
             insert into ran values (1); \
             if nextval('tries') % 2 = 1 then \
             raise 'not in a transaction block' using errcode = '25001'; end if; \
             return 1; end $$",
        )
        .await;
    for round in 1..=OFTEN {
        assert_eq!(value(&client, "select refuse()").await, "1");
        let count = value(&client, "select count(*) from ran").await;
        assert_eq!(count, round.to_string());
    }
}

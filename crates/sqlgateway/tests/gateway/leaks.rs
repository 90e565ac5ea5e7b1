//! What functions and triggers change in a session, which a statement's text doesn't show, is not visible
//! to the next request.

use http::StatusCode;
use serde_json::{Value, json};
use tirage_postgres::Config;
use tirage_sqlgateway::Settings;

use crate::support::{Client, ask, new_role, run_as_superuser, superuser};

/// Number of requests after which every statement is prepared.
pub(crate) const OFTEN: usize = 5;

/// Returns a client with one connection, so that every leak is visible.
pub(crate) fn one_connection(config: Config) -> Client {
    Client::with(
        config,
        Settings {
            max_connections: 1,
            ..Settings::default()
        },
    )
}

/// Returns the only value of the only row.
pub(crate) async fn value(client: &Client, query: &str) -> Value {
    let answer = ask(client, query, json!([])).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
    answer.json()["rows"][0][0].take()
}

/// Statements that change a session, a query that shows the change, and its result in a clean session.
pub(crate) const LEAKS: [(&str, &str, &str); 10] = [
    (
        "set search_path = elsewhere",
        "select current_setting('search_path')",
        "\"$user\", public",
    ),
    (
        "select set_config('tirage.account', 'me', false)",
        "select coalesce(current_setting('tirage.account', true), '')",
        "",
    ),
    (
        "set role pg_monitor",
        "select (current_user = session_user)::text || current_setting('role')",
        "truenone",
    ),
    (
        "set session authorization pg_monitor",
        "select (session_user = 'pg_monitor')::text || (current_user = 'pg_monitor')::text",
        "falsefalse",
    ),
    (
        "set session characteristics as transaction read only",
        "select current_setting('transaction_read_only')",
        "off",
    ),
    (
        "create temp table leaked (n int)",
        "select coalesce(to_regclass('leaked')::text, '')",
        "",
    ),
    (
        "declare leaked cursor with hold for select 1",
        "select count(*)::text from pg_cursors where name = 'leaked'",
        "0",
    ),
    (
        "listen leaked",
        "select count(*)::text from pg_listening_channels()",
        "0",
    ),
    (
        "select pg_advisory_lock(4712)",
        "select count(*)::text from pg_locks where locktype = 'advisory' and objid = 4712",
        "0",
    ),
    (
        "select pg_advisory_lock_shared(4712)",
        "select count(*)::text from pg_locks where locktype = 'advisory' and objid = 4712",
        "0",
    ),
];

/// The leaks that don't require a superuser.
pub(crate) fn leaks_of_a_plain_role()
-> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let only_superusers_may = "set session authorization";
    LEAKS
        .into_iter()
        .filter(move |(leak, _, _)| !leak.starts_with(only_superusers_may))
}

#[tokio::test]
async fn nothing_that_a_function_or_a_trigger_leaves_is_seen_by_the_next_request() {
    let client = one_connection(superuser());
    set_up(&client).await;
    let pid = value(&client, "select pg_backend_pid()").await;
    for leak in LEAKS {
        is_not_seen(&client, leak).await;
    }
    assert_eq!(
        value(&client, "select pg_backend_pid()").await,
        pid,
        "it was one session"
    );
}

/// Each leak gets a new session.
#[tokio::test]
async fn nothing_that_a_plain_role_leaves_is_seen_by_the_next_request() {
    let config = new_role("leaves").await;
    run_as_superuser("grant pg_monitor to leaves").await;
    set_up(&one_connection(config.clone())).await;
    for leak in leaks_of_a_plain_role() {
        is_not_seen(&one_connection(config.clone()), leak).await;
    }
}

/// Operators that hide a leak, in the search path of a new session.
#[tokio::test]
async fn operators_cannot_hide_a_leak_from_the_cleaning() {
    let config = new_role("hides").await;
    run_as_superuser("grant pg_monitor to hides").await;
    let setup = one_connection(config.clone());
    set_up(&setup).await;
    for (name, kind) in [
        ("text", "text"),
        ("oid", "oid"),
        ("integer", "oid, integer"),
    ] {
        let right = kind.rsplit(", ").next().unwrap();
        let left = kind.split(", ").next().unwrap();
        setup
            .rows(&format!(
                "create function never_{name}({left}, {right}) returns bool language sql as 'select false'"
            ))
            .await;
        setup
            .rows(&format!(
                "create operator <> (leftarg = {left}, rightarg = {right}, function = never_{name})"
            ))
            .await;
    }
    for leak in ["set role pg_monitor", "create temp table hidden (n int)"] {
        let client = one_connection(config.clone());
        let hide = "select leave('set search_path = hides, pg_catalog'), leave($1)";
        let answer = ask(&client, hide, json!([leak])).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let look = "select current_setting('role') || coalesce(to_regclass('hidden')::text, '')";
        assert_eq!(value(&client, look).await, "none", "{leak}");
    }
}

/// Creates a function and triggers that execute the statement that they are given.
pub(crate) async fn set_up(client: &Client) {
    for setup in [
        "create function leave(what text) returns void language plpgsql as 'begin execute what; end'",
        "create table left_at_once (what text)",
        "create table left_at_commit (what text)",
        "create function leave_row() returns trigger language plpgsql as \
         'begin execute new.what; return new; end'",
        "create trigger leave before insert on left_at_once for each row execute function leave_row()",
        "create constraint trigger leave after insert on left_at_commit \
         deferrable initially deferred for each row execute function leave_row()",
    ] {
        client.rows(setup).await;
    }
}

pub(crate) async fn is_not_seen(client: &Client, (leak, look, clean): (&str, &str, &str)) {
    for way in [
        "select leave($1)",
        "insert into left_at_once values ($1)",
        "insert into left_at_commit values ($1)",
    ] {
        for _ in 0..OFTEN {
            let answer = ask(client, way, json!([leak])).await;
            assert_eq!(answer.status, StatusCode::OK, "{leak}: {}", answer.text());
            assert_eq!(value(client, look).await, clean, "{way}: {leak}");
        }
    }
    // A deferred trigger of a batch.
    let body = json!({"queries": [
        {"query": "insert into left_at_commit values ($1)", "params": [leak]},
    ]});
    let answer = client.send(&[], body.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{leak}: {}", answer.text());
    assert_eq!(value(client, look).await, clean, "{leak}");
}

#[tokio::test]
async fn values_of_sequences_are_discarded() {
    let client = one_connection(superuser());
    client.rows("create sequence asked").await;
    for _ in 0..OFTEN {
        value(&client, "select nextval('asked')").await;
        for look in ["select currval('asked')", "select lastval()"] {
            let answer = ask(&client, look, json!([])).await;
            assert_eq!(answer.json()["code"], "55000", "{look}");
        }
    }
}

#[tokio::test]
async fn a_failed_statement_leaves_nothing_either() {
    let client = one_connection(superuser());
    for _ in 0..OFTEN {
        // A rollback doesn't release a session's locks.
        let answer = ask(
            &client,
            "select pg_advisory_lock(4713), 1 / (pg_backend_pid() - pg_backend_pid())",
            json!([]),
        )
        .await;
        assert_eq!(answer.json()["code"], "22012");
        let look =
            "select count(*)::text from pg_locks where locktype = 'advisory' and objid = 4713";
        assert_eq!(value(&client, look).await, "0");
    }
}

#[tokio::test]
async fn a_function_that_deallocates_everything_takes_effect_once() {
    let client = one_connection(superuser());
    client.rows("create table answered_once (n int)").await;
    client
        .rows(
            "create function forget(statements text) returns int language plpgsql as \
             'begin execute statements; return 1; end'",
        )
        .await;
    for forget in ["deallocate all", "discard plans"] {
        for round in 1..=OFTEN {
            for _ in 0..OFTEN {
                value(&client, "select 1").await;
            }
            let insert = "insert into answered_once select forget($1)";
            let answer = ask(&client, insert, json!([forget])).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            let count = value(&client, "select count(*) from answered_once").await;
            assert_eq!(count, round.to_string(), "{forget}");
        }
        client.rows("delete from answered_once").await;
    }
}

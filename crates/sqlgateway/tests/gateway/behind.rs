//! A session that is cleaned behind the answer: the next request finds nothing left of the one before it,
//! whether it comes at once or later, and whether the cleaning was enough or not. Where a pooler may give us
//! another session by then, it is cleaned before the answer.

use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use tirage_postgres::{Config, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::leaks::{OFTEN, is_not_seen, leaks_of_a_plain_role, one_connection, set_up, value};
use crate::support::{CLUSTER, Client, ask, new_role, run_as_superuser, superuser};

/// How soon the next request comes: at once, when the cleaning is over, when it was waited for.
const SOON: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(200),
];

/// A connection whose session has been asked whether it may be cleaned behind the answer, and is.
async fn used(config: Config) -> Client {
    let client = one_connection(config);
    for _ in 0..OFTEN {
        value(&client, "select 1").await;
    }
    client
}

/// What its session has been cleaned with.
async fn routines(client: &Client) -> String {
    let names =
        "select coalesce(string_agg(distinct substring(name from 'tirage_(\\D+)_'), ' '), '')
                 from pg_prepared_statements";
    value(client, names).await.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_the_usual_cleaning_leaves_makes_the_next_request_wait_not_fail() {
    let config = new_role("left_behind").await;
    run_as_superuser("grant pg_monitor to left_behind").await;
    let setup = one_connection(config.clone());
    set_up(&setup).await;
    setup.rows("create table added (n int)").await;
    let rare = ["set role pg_monitor", "create temp table rare (n int)"];
    for (round, (leak, wait)) in rare
        .into_iter()
        .flat_map(|leak| SOON.map(|wait| (leak, wait)))
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
async fn a_batch_behind_it_is_done_once_too() {
    let config = new_role("batch_behind").await;
    let setup = one_connection(config.clone());
    set_up(&setup).await;
    setup.rows("create table added (n int)").await;
    for wait in SOON {
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
async fn every_leak_of_a_role_that_may_little_in_a_used_session() {
    let config = new_role("leaves_behind").await;
    run_as_superuser("grant pg_monitor to leaves_behind").await;
    set_up(&one_connection(config.clone())).await;
    for leak in leaks_of_a_plain_role() {
        is_not_seen(&used(config.clone()).await, leak).await;
    }
}

/// Transactions of the kind that is left wait until no other of that kind writes.
#[tokio::test]
async fn a_kind_of_transaction_that_waits_for_others_is_not_what_the_session_is_cleaned_in() {
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

/// Until somebody waits for the cleaning, the server takes the session for active.
#[tokio::test]
async fn an_unused_session_is_soon_idle() {
    for (config, cleaned_with) in [
        (
            new_role("soon_idle").await,
            "begin begin_cleaning clean_or_fail commit reset",
        ),
        (superuser(), "begin begin_cleaning commit reset"),
    ] {
        let client = used(config).await;
        assert_eq!(routines(&client).await, cleaned_with);
        let pid = value(&client, "select pg_backend_pid()").await;
        let pid = pid.as_str().unwrap();
        let stands = format!(
            "select state || coalesce(xact_start::text, '') from pg_stat_activity where pid = {pid}"
        );
        let other = one_connection(superuser());
        for _ in 0..100 {
            if value(&other, &stands).await == "idle" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(value(&other, &stands).await, "idle");
        assert_eq!(value(&client, "select pg_backend_pid()").await, pid);
    }
}

/// Limits that the server sets to statements and transactions go on behind the answer only for what is
/// really there.
#[tokio::test]
async fn a_session_whose_cleaning_nobody_waits_for_is_in_no_statement_and_no_transaction() {
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
        // Less than it takes until somebody waits.
        tokio::time::sleep(Duration::from_millis(35)).await;
        assert_eq!(value(&client, "select pg_backend_pid()").await, pid);
    }
}

/// Its session is ended while nobody has waited for its cleaning.
#[tokio::test]
async fn a_server_that_leaves_behind_an_answer_is_replaced_unseen() {
    let config = new_role("leaves_early").await;
    let setup = one_connection(config.clone());
    setup.rows("create table added (n int)").await;
    let other = one_connection(superuser());
    for round in 1..=20 {
        let client = used(config.clone()).await;
        let pid = value(&client, "select pg_backend_pid()").await;
        let end = format!("select pg_terminate_backend({})", pid.as_str().unwrap());
        // Whether it is noticed before the next request is sent is a matter of luck; each is well.
        value(&other, &end).await;
        value(&client, "insert into added values (1) returning 1").await;
        let count = value(&setup, "select count(*) from added").await;
        assert_eq!(count, round.to_string());
    }
}

/// What is between says that the session's process is another one, as poolers do.
async fn pooler() -> SocketAddr {
    let server: Config = CLUSTER.superuser_url().parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let port = server.port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(rename_process(client, server));
        }
    });
    address
}

async fn rename_process(client: TcpStream, server: TcpStream) {
    /// Tag and length of BackendKeyData.
    const KEY: &[u8] = b"K\0\0\0\x0c";
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let (mut buffer, mut is_renamed) = (vec![0; 64 * 1024], false);
    while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
        let said = &mut buffer[..length];
        if !is_renamed && let Some(at) = said.windows(KEY.len()).position(|part| part == KEY) {
            said[at + KEY.len()] ^= 0x40;
            is_renamed = true;
        }
        if to_client.write_all(said).await.is_err() {
            return;
        }
    }
}

/// The same role and database, with that between.
async fn behind_a_pooler(config: &Config) -> Config {
    let (user, database, address) = (config.user(), config.database(), pooler().await);
    let password = config
        .password()
        .map_or(b"".as_slice(), |password| password.as_bytes());
    let password = str::from_utf8(password).unwrap();
    format!("postgres://{user}:{password}@{address}/{database}")
        .parse()
        .unwrap()
}

#[tokio::test]
async fn behind_a_pooler_sessions_are_cleaned_before_the_answer() {
    let config = new_role("pooled").await;
    run_as_superuser("grant pg_monitor to pooled").await;
    let config = behind_a_pooler(&config).await;
    set_up(&one_connection(config.clone())).await;
    for leak in leaks_of_a_plain_role() {
        let client = one_connection(config.clone());
        is_not_seen(&client, leak).await;
        assert_eq!(routines(&client).await, "begin commit reset");
    }
}

/// Functions of some extensions run in no block that somebody else began. This one can't tell, but
/// it fails in the same way once; a sequence remembers that, whatever is rolled back.
#[tokio::test]
async fn behind_a_pooler_what_refuses_to_run_in_a_block_is_run_alone() {
    let client = one_connection(behind_a_pooler(&superuser()).await);
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

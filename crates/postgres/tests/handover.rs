//! A session whose stream is handed over after the login.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

use std::pin::pin;
use std::time::Duration;

use bytes::BytesMut;
use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Config, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, join};

/// Sends a statement and returns the replies up to ReadyForQuery.
async fn ask(session: &mut (impl AsyncRead + AsyncWrite + Unpin), statement: &str) -> BytesMut {
    let mut query = vec![b'Q'];
    query.extend_from_slice(&u32::try_from(statement.len() + 5).unwrap().to_be_bytes());
    query.extend_from_slice(statement.as_bytes());
    query.push(0);
    session.write_all(&query).await.unwrap();
    session.flush().await.unwrap();
    let mut answer = BytesMut::new();
    while !answer.ends_with(b"Z\0\0\0\x05I") {
        assert!(session.read_buf(&mut answer).await.unwrap() > 0);
    }
    answer
}

#[tokio::test]
async fn the_session_has_its_settings_and_is_a_plain_stream() {
    let cluster = Cluster::start_temporary().unwrap();
    let url = format!("{}?options=-c%20work_mem=1MB", cluster.superuser_url());
    let config: Config = url.parse().unwrap();
    let settings = [
        ("application_name", "theirs"),
        ("options", "-c statement_timeout=1234ms"),
        ("search_path", "elsewhere"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let session = Session::log_in(&config, &settings).await.unwrap();
    assert!(session.password_proved_by_login());
    let parameter = |name: &str| {
        let mut parameters = session.parameters().iter();
        parameters
            .find(|(given, _)| given == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(parameter("application_name"), "theirs");
    assert_eq!(parameter("client_encoding"), "UTF8");
    assert_eq!(
        parameter("server_version").split(' ').next(),
        Some(cluster.version())
    );

    let cancel_token = session.cancel_token();
    let (from_server, to_server) = session.split();
    let mut session = join(from_server, to_server);
    let answer = ask(
        &mut session,
        "select 'work_mem=' || current_setting('work_mem'), \
         'timeout=' || current_setting('statement_timeout'), \
         'path=' || current_setting('search_path')",
    )
    .await;
    for expected in ["work_mem=1MB", "timeout=1234ms", "path=elsewhere"] {
        let found = answer
            .windows(expected.len())
            .any(|window| window == expected.as_bytes());
        assert!(found, "{expected} in {answer:?}");
    }

    let statements = "set statement_timeout = 0; select pg_sleep(600)";
    let mut answer = pin!(ask(&mut session, statements));
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer,
            // A cancel request before the statement has no effect.
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                cancel_token.cancel(Duration::from_secs(5)).await.unwrap();
            }
        }
    };
    assert!(answer.windows(5).any(|window| window == b"57014"));
}

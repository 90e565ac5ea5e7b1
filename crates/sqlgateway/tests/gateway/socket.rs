//! The gateway on a socket: authentication, disconnecting clients and shutdown.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tirage_postgres::{Config, Password};
use tirage_sqlgateway::{Accounts, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, Server, new_role, run_as_superuser, superuser};

impl Server {
    async fn connect(&self, connection_string: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "POST /sql HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: {}\r\n\
             neon-connection-string: {connection_string}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Returns the status and the body.
    async fn post(&self, connection_string: &str, query: &str) -> (u16, Value) {
        let body = json!({"query": query}).to_string();
        let mut stream = self.connect(connection_string, &body).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head[9..12].parse().unwrap(),
            serde_json::from_str(body).unwrap(),
        )
    }
}

const WHO: &str = "select current_user::text as c, current_database()::text as d";

#[tokio::test]
async fn accounts_of_the_gateway_s_own() {
    let config = new_role("own_account").await;
    let accounts = Accounts::own([(Password::new("made-for-this-run"), config)]);
    let server = Server::start(accounts, Settings::default()).await;
    let (status, body) = server
        .post(
            "postgres://own_account:made-for-this-run@127.0.0.1/postgres",
            WHO,
        )
        .await;
    assert_eq!(
        (status, &body["rows"]),
        (200, &json!([{"c": "own_account", "d": "postgres"}]))
    );

    for (connection_string, message) in [
        // Postgres' password, which is not the gateway's.
        (
            "postgres://own_account:secret@h/postgres",
            "password authentication failed for user \"own_account\"",
        ),
        (
            "postgres://own_account:@h/postgres",
            "missing authentication credentials: required password",
        ),
        (
            "postgres://postgres:made-for-this-run@h/postgres",
            "password authentication failed for user \"postgres\"",
        ),
        (
            "postgres://own_account@h/postgres",
            "missing authentication credentials: required password",
        ),
        ("postgres://h/postgres", "missing username"),
        (
            "http://own_account:made-for-this-run@h/postgres",
            "incorrect scheme",
        ),
        ("", "invalid connection string: relative URL without a base"),
    ] {
        let (status, body) = server.post(connection_string, "select 1").await;
        assert_eq!(
            (status, body["message"].as_str()),
            (400, Some(message)),
            "{connection_string}"
        );
        let is_password = body["code"] == "28P01";
        assert_eq!(is_password, body["severity"] == "FATAL", "{body}");
    }
    let (status, body) = server
        .post(
            "postgres://own_account:made-for-this-run@h/nowhere",
            "select 1",
        )
        .await;
    assert_eq!((status, &body["code"]), (400, &json!("3D000")));
    server.stop().await;
}

#[tokio::test]
async fn headers_that_are_missing_or_doubled() {
    let config = new_role("doubled").await;
    let accounts = Accounts::own([(Password::new("p"), config)]);
    let server = Server::start(accounts, Settings::default()).await;
    let mine = "neon-connection-string: postgres://doubled:p@h/tirage\r\n";
    let another = "Neon-Connection-String: postgres://doubled:wrong@h/tirage\r\n";
    let raw = "neon-raw-text-output: true\r\nneon-raw-text-output: false\r\n";
    for (headers, status) in [
        (String::new(), "400"),
        (format!("{mine}{another}"), "400"),
        (format!("{another}{mine}"), "400"),
        (format!("{mine}{mine}"), "400"),
        // One connection string. Of another header that occurs twice, the first counts.
        (format!("{mine}{raw}"), "200"),
        (mine.to_owned(), "200"),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "POST /sql HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: 20\r\n{headers}\r\n\
             {{\"query\":\"select 1\"}}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(&answer[9..12], status, "{headers}: {answer}");
        if status == "400" {
            assert!(answer.contains("invalid header: neon-connection-string"));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn roles_of_postgres() {
    new_role("let_in").await;
    let upstream: Config = superuser().with_user("nobody", None);
    let server = Server::start(Accounts::of_postgres(upstream), Settings::default()).await;
    let pid = "select pg_backend_pid() as pid";
    let (status, first) = server.post("postgres://let_in:secret@h/tirage", pid).await;
    assert_eq!(status, 200, "{first}");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (_, second) = server.post("postgres://let_in:secret@h/tirage", pid).await;
    assert_eq!(
        first["rows"], second["rows"],
        "one connection, logged in once"
    );

    let (status, body) = server.post("postgres://let_in:wrong@h/tirage", pid).await;
    assert_eq!((status, &body["code"]), (400, &json!("28P01")));
    assert_eq!(body["severity"], "FATAL");
    assert_eq!(
        body["message"],
        "password authentication failed for user \"let_in\""
    );
    let (_, unknown) = server
        .post("postgres://unheard_of:secret@h/tirage", pid)
        .await;
    assert_eq!(
        unknown["message"],
        "password authentication failed for user \"unheard_of\""
    );

    run_as_superuser("alter role let_in password 'changed'").await;
    let (status, body) = server.post("postgres://let_in:changed@h/tirage", WHO).await;
    assert_eq!((status, &body["rows"][0]["c"]), (200, &json!("let_in")));
    let (status, _) = server.post("postgres://let_in:secret@h/tirage", WHO).await;
    assert_eq!(status, 400, "the old one was right a moment ago");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_closes_its_socket_has_its_statement_cancelled() {
    let config = new_role("leaver").await;
    let accounts = Accounts::own([(Password::new("p"), config)]);
    let server = Server::start(
        accounts,
        Settings {
            max_connections: 1,
            ..Settings::default()
        },
    )
    .await;
    let began = Instant::now();
    let body = r#"{"query":"select pg_sleep(60)"}"#;
    let stream = server.connect("postgres://leaver:p@h/tirage", body).await;
    let watcher = Client::new();
    let running = "select count(*)::int as n from pg_stat_activity where usename = 'leaver' and state = 'active'";
    while watcher.rows(running).await != json!([{"n": 1}]) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(stream);
    let (status, _) = server
        .post("postgres://leaver:p@h/tirage", "select 1")
        .await;
    assert_eq!(status, 200);
    assert!(began.elapsed() < Duration::from_secs(5));
    server.stop().await;
}

#[tokio::test]
async fn stopping_lets_requests_end() {
    let config = new_role("ender").await;
    let accounts = Accounts::own([(Password::new("p"), config)]);
    let server = Server::start(accounts, Settings::default()).await;
    let body = r#"{"query":"select pg_sleep(0.5)::text, 'done' as v"}"#;
    let mut stream = server.connect("postgres://ender:p@h/tirage", body).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let address = server.address;
    let (_, answer) = tokio::join!(server.stop(), async {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    });
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("done"),
        "{answer}"
    );
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_body_with_too_large_a_content_length_is_refused_immediately() {
    let config = new_role("announcer").await;
    let accounts = Accounts::own([(Password::new("p"), config)]);
    let server = Server::start(accounts, Settings::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(
            b"POST /sql HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: 99999999999\r\n\
              neon-connection-string: postgres://announcer:p@h/tirage\r\n\r\n",
        )
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    server.stop().await;
}

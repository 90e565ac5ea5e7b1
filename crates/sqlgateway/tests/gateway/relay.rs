//! Interactive sessions: login, use and end.

mod endings;
mod logins;
mod sessions;

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use serde_json::json;
use tirage_postgres::Password;
use tirage_sqlgateway::{Accounts, Settings};

use crate::interactive::{Interactive, SqlError};
use crate::support::{Client, Server, new_role};

/// Starts a server with one account, `role`, whose password is `p`.
async fn server(role: &str, settings: Settings) -> Server {
    let config = new_role(role).await;
    Server::start(Accounts::own([(Password::new("p"), config)]), settings).await
}

async fn log_in(server: &Server, role: &str) -> Interactive {
    Interactive::log_in(server.address, role, "p", "tirage")
        .await
        .unwrap()
}

fn sql_error(code: &str, message: &str) -> SqlError {
    SqlError(code.to_owned(), message.to_owned())
}

/// Waits until `expected` connections of the role meet the condition.
async fn wait_for_connections(role: &str, condition: &str, expected: u32) {
    let watcher = Client::new();
    let query = format!(
        "select count(*)::int as n from pg_stat_activity where usename = '{role}' and {condition}"
    );
    while watcher.rows(&query).await != json!([{ "n": expected }]) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends a cancel request for the session with this key.
async fn cancel(server: &Server, (process_id, secret_key): (i32, i32)) {
    let mut request = BytesMut::new();
    frontend::cancel_request(process_id, secret_key, &mut request);
    let mut session = Interactive::open(server.address).await;
    session.send(request).await;
    assert_eq!(session.end().await, (None, Some(1000)));
}

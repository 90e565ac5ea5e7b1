//! A database, a client of the gateway in process, and the gateway on a socket.

use std::net::SocketAddr;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tirage_devstack::postgres::Cluster;
use tirage_postgres::{Config, Connection, Password};
use tirage_sqlgateway::{Accounts, Gateway, Identity, Role, Settings, serve_on};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The Postgres server that most tests share.
pub(crate) static CLUSTER: LazyLock<Cluster> =
    LazyLock::new(|| Cluster::start_temporary().unwrap());

pub(crate) fn superuser() -> Config {
    CLUSTER.superuser_url().parse().unwrap()
}

pub(crate) async fn run_as_superuser(statements: &str) {
    Connection::connect(&superuser())
        .await
        .unwrap()
        .batch_execute(statements)
        .await
        .unwrap();
}

/// Creates a role with the password `secret` and a schema of its own.
pub(crate) async fn new_role(name: &str) -> Config {
    run_as_superuser(&format!(
        "create role {name} login password 'secret'; create schema authorization {name}"
    ))
    .await;
    superuser().with_user(name, Some(Password::new("secret")))
}

/// Sends a statement as Neon's clients do: in raw mode, with rows as arrays.
pub(crate) async fn ask(client: &Client, query: &str, params: Value) -> Answer {
    let headers = [
        ("neon-raw-text-output", "true"),
        ("neon-array-mode", "true"),
    ];
    let body = json!({"query": query, "params": params}).to_string();
    client.send(&headers, body).await
}

/// A client of a gateway in process.
pub(crate) struct Client {
    pub(crate) gateway: Gateway,
    pub(crate) role: Role,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self::with(superuser(), Settings::default())
    }

    pub(crate) fn with(config: Config, settings: Settings) -> Self {
        let gateway = Gateway::new(settings);
        Self {
            role: gateway.role(config),
            gateway,
        }
    }

    pub(crate) async fn send(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::post("http://sql.tirage.internal/sql");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = self
            .gateway
            .serve(Identity::Role(&self.role), request)
            .await;
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Executes a statement in typed object mode, which must succeed.
    pub(crate) async fn query(&self, query: &str, params: Value) -> Value {
        let answer = self
            .send(&[], json!({"query": query, "params": params}).to_string())
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
        answer.json()
    }

    /// Returns the rows of a statement.
    pub(crate) async fn rows(&self, query: &str) -> Value {
        self.query(query, json!([])).await["rows"].take()
    }

    /// Returns the body of a statement that must fail with a 400.
    pub(crate) async fn error(&self, query: &str, params: Value) -> Value {
        let answer = self
            .send(&[], json!({"query": query, "params": params}).to_string())
            .await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{query}: {}",
            answer.text()
        );
        answer.json()
    }

    /// Executes a batch.
    pub(crate) async fn batch(&self, queries: &[&str]) -> Answer {
        let queries: Vec<_> = queries
            .iter()
            .map(|query| json!({"query": query}))
            .collect();
        self.send(&[], json!({"queries": queries}).to_string())
            .await
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// The gateway on a socket.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(accounts: Accounts, settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(serve_on(
            listener,
            Gateway::new(settings),
            accounts,
            async {
                let _stopped = stopped.await;
            },
        ));
        Self {
            address,
            stop,
            ended,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap();
    }
}

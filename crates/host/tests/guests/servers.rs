//! Servers that run a test's script and record the requests that they receive.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server on loopback.
pub(crate) struct Server {
    pub(crate) port: u16,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Server {
    /// Returns its origin, `http://127.0.0.1:<port>`.
    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the number of accepted connections.
    pub(crate) fn connections(&self) -> usize {
        self.record.connections.load(Ordering::Relaxed)
    }

    /// Returns the heads of the received requests.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.record.requests.lock().unwrap().clone()
    }
}

/// An accepted connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Index of the connection, from 0.
    pub(crate) number: usize,
    record: Arc<Record>,
}

impl Connection {
    /// Reads a request, whose body may be chunked, and records its head. Returns `false` if the client
    /// closed the connection.
    pub(crate) async fn request(&mut self) -> bool {
        let Some(head) = self.read_to("\r\n\r\n").await else {
            return false;
        };
        if head.contains("transfer-encoding: chunked") && self.read_to("0\r\n\r\n").await.is_none()
        {
            return false;
        }
        self.record.requests.lock().unwrap().push(head);
        true
    }

    async fn read_to(&mut self, end: &str) -> Option<String> {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(self.stream.read_u8().await.ok()?);
        }
        Some(String::from_utf8(text).unwrap())
    }

    /// Writes `text`. Returns `false` if the client closed the connection.
    pub(crate) async fn send(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).await.is_ok()
    }

    /// Writes a complete response.
    pub(crate) async fn respond(&mut self, body: &str) -> bool {
        let length = body.len();
        self.send(&format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await
    }
}

/// Starts a server that runs `script` for each connection.
pub(crate) async fn server<F>(script: impl Fn(Connection) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let record = Arc::<Record>::default();
    tokio::spawn({
        let record = Arc::clone(&record);
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Connection {
                    stream,
                    number: record.connections.fetch_add(1, Ordering::Relaxed),
                    record: Arc::clone(&record),
                };
                tokio::spawn(script(connection));
            }
        }
    });
    Server { port, record }
}

/// Starts a server that answers every request with `it's me`.
pub(crate) async fn answering() -> Server {
    server(
        async |mut connection| {
            while connection.request().await && connection.respond("it's me").await {}
        },
    )
    .await
}

/// Starts a server that reads one request, writes `text`, and keeps the connection open.
pub(crate) async fn sending(text: &'static str) -> Server {
    server(move |mut connection| async move {
        connection.request().await;
        connection.send(text).await;
        std::future::pending().await
    })
    .await
}

/// Starts a server that reads one request, writes `first`, and then `second` repeatedly.
pub(crate) async fn repeating(first: &'static str, second: impl Into<String>) -> Server {
    let second: Arc<str> = second.into().into();
    server(move |mut connection| {
        let second = Arc::clone(&second);
        async move {
            connection.request().await;
            connection.send(first).await;
            while connection.send(&second).await {}
        }
    })
    .await
}

//! Servers that do as a test says, and remember what was asked of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server on loopback.
pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Server {
    /// As an origin: `http://127.0.0.1:<port>`.
    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Connections that it has accepted.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// The heads of the requests that it has read.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }
}

/// A connection to the server.
pub(crate) struct Connection {
    stream: TcpStream,
    /// The how-manieth it is, from 0.
    pub(crate) number: usize,
    seen: Arc<Seen>,
}

impl Connection {
    /// Reads a request, whose body may be chunked, and notes its head; false if there is none any more.
    pub(crate) async fn request(&mut self) -> bool {
        let Some(head) = self.read_to("\r\n\r\n").await else {
            return false;
        };
        if head.contains("transfer-encoding: chunked") && self.read_to("0\r\n\r\n").await.is_none()
        {
            return false;
        }
        self.seen.requests.lock().unwrap().push(head);
        true
    }

    async fn read_to(&mut self, end: &str) -> Option<String> {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(self.stream.read_u8().await.ok()?);
        }
        Some(String::from_utf8(text).unwrap())
    }

    /// Says something; false if nobody listens any more.
    pub(crate) async fn say(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).await.is_ok()
    }

    /// A whole answer.
    pub(crate) async fn answer(&mut self, body: &str) -> bool {
        let length = body.len();
        self.say(&format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await
    }
}

/// Starts a server that treats each connection like this.
pub(crate) async fn server<F>(script: impl Fn(Connection) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::<Seen>::default();
    tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Connection {
                    stream,
                    number: seen.connections.fetch_add(1, Ordering::Relaxed),
                    seen: Arc::clone(&seen),
                };
                tokio::spawn(script(connection));
            }
        }
    });
    Server { port, seen }
}

/// Answers every request with `it's me`.
pub(crate) async fn friendly() -> Server {
    server(
        async |mut connection| {
            while connection.request().await && connection.answer("it's me").await {}
        },
    )
    .await
}

/// Reads one request, says this, and then nothing more; the connection stays open.
pub(crate) async fn saying(text: &'static str) -> Server {
    server(move |mut connection| async move {
        connection.request().await;
        connection.say(text).await;
        std::future::pending().await
    })
    .await
}

/// Reads one request, says the first, and then the second over and over.
pub(crate) async fn repeating(first: &'static str, second: impl Into<String>) -> Server {
    let second: Arc<str> = second.into().into();
    server(move |mut connection| {
        let second = Arc::clone(&second);
        async move {
            connection.request().await;
            connection.say(first).await;
            while connection.say(&second).await {}
        }
    })
    .await
}

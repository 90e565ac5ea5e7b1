//! The accept loop over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tirage_net::listen::{Options, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Long timeouts; each test shortens the one that it is about.
const OPTIONS: Options = Options {
    max_connections: 16,
    head_timeout: LONG,
    keep_alive_timeout: LONG,
    drain_timeout: LONG,
    max_streams: 8,
};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(options: Options) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let serving = tokio::spawn(serve(listener, options, answer, stopped));
        Self {
            address,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

type BoxBody = UnsyncBoxBody<Bytes, Infallible>;

/// `/` answers "ok", `/slow` streams one piece every 100 ms for a second, `/big` answers 64 MiB, `/upgrade`
/// switches to a protocol that echoes.
async fn answer(
    _: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<BoxBody>, Infallible> {
    let body = match request.uri().path() {
        "/slow" => {
            let pieces = futures::stream::unfold(0, |piece| async move {
                sleep(Duration::from_millis(100)).await;
                let frame = Ok(Frame::data(Bytes::from(format!("{piece}"))));
                (piece < 10).then_some((frame, piece + 1))
            });
            BoxBody::new(StreamBody::new(pieces))
        }
        "/big" => BoxBody::new(Full::from(vec![0; 64 << 20])),
        "/upgrade" => {
            let upgrade = hyper::upgrade::on(request);
            tokio::spawn(async {
                let mut io = TokioIo::new(upgrade.await.unwrap());
                let mut bytes = [0; 4];
                while io.read_exact(&mut bytes).await.is_ok() {
                    io.write_all(&bytes).await.unwrap();
                }
            });
            let response = Response::builder()
                .status(101)
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "echo");
            return Ok(response.body(BoxBody::new(Full::default())).unwrap());
        }
        _ => BoxBody::new(Full::from("ok")),
    };
    Ok(Response::new(body))
}

/// Reads until the server closes the connection.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = timeout(LONG / 2, stream.read_to_end(&mut bytes))
        .await
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Sends a request and reads its response, whose body is "ok".
async fn get(stream: &mut TcpStream) {
    stream.write_all(GET).await.unwrap();
    read_until(stream, "ok").await;
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let reading = async {
        while !text.ends_with(end) {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            text.push(char::from(byte[0]));
        }
    };
    timeout(LONG / 2, reading).await.unwrap();
    text
}

/// Asserts that the server closes a connection on which `bytes` come and nothing else, without a
/// response, and not before the timeout.
async fn closes_after(bytes: &[u8]) {
    let server = Server::start(Options {
        head_timeout: SHORT,
        ..OPTIONS
    })
    .await;
    let mut stream = server.connect().await;
    let connected = Instant::now();
    stream.write_all(bytes).await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
    assert!(connected.elapsed() >= SHORT - Duration::from_millis(20));
    assert!(connected.elapsed() < LONG / 4);
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    closes_after(b"").await;
}

#[tokio::test]
async fn half_an_http2_preface_is_closed() {
    closes_after(b"PRI * HT").await;
}

#[tokio::test]
async fn half_a_head_is_closed() {
    closes_after(b"GET / HTTP/1.1\r\nhost: a\r\n").await;
}

#[tokio::test]
async fn an_http2_connection_without_a_request_is_closed() {
    let server = Server::start(Options {
        head_timeout: SHORT,
        ..OPTIONS
    })
    .await;
    let mut stream = server.connect().await;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&settings).await.unwrap();
    let mut bytes = Vec::new();
    let ended = timeout(LONG / 4, stream.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_closed() {
    let server = Server::start(Options {
        head_timeout: SHORT,
        ..OPTIONS
    })
    .await;
    let stream = server.connect().await;
    let (mut reading, mut writing) = stream.into_split();
    let dripping = tokio::spawn(async move {
        for byte in GET.iter().cycle().take(24) {
            writing.write_all(&[*byte]).await?;
            sleep(Duration::from_millis(50)).await;
        }
        std::io::Result::Ok(writing)
    });
    let mut bytes = Vec::new();
    let _ = timeout(LONG / 2, reading.read_to_end(&mut bytes))
        .await
        .unwrap();
    assert_eq!(bytes, b"");
    dripping.abort();
}

#[tokio::test]
async fn a_long_response_outlives_both_timers() {
    let server = Server::start(Options {
        head_timeout: SHORT,
        keep_alive_timeout: SHORT,
        ..OPTIONS
    })
    .await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let response = read_to_end(&mut stream).await;
    assert!(response.ends_with("9\r\n0\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn a_slow_client_gets_the_whole_response() {
    let server = Server::start(Options {
        head_timeout: SHORT,
        keep_alive_timeout: SHORT,
        ..OPTIONS
    })
    .await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    // The body has been handed over by now, and waits for the client to read it.
    sleep(SHORT * 4).await;
    let mut bytes = Vec::new();
    timeout(LONG, stream.read_to_end(&mut bytes))
        .await
        .unwrap()
        .unwrap();
    assert!(bytes.len() > 64 << 20, "{}", bytes.len());
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_kept() {
    let server = Server::start(Options {
        head_timeout: SHORT,
        keep_alive_timeout: SHORT * 2,
        ..OPTIONS
    })
    .await;
    let mut stream = server.connect().await;
    for _ in 0..4 {
        get(&mut stream).await;
        sleep(SHORT).await;
    }
    let mut half = server.connect().await;
    get(&mut half).await;
    half.write_all(b"GET / HT").await.unwrap();
    let begin = Instant::now();
    assert_eq!(read_to_end(&mut stream).await, "");
    assert_eq!(read_to_end(&mut half).await, "");
    assert!(begin.elapsed() < LONG / 4);
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let server = Server::start(Options {
        keep_alive_timeout: SHORT,
        ..OPTIONS
    })
    .await;
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://a/")
        .body(Full::<Bytes>::default())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "ok");
    let ended = timeout(LONG / 4, connection).await;
    assert!(ended.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn the_limit_on_connections_holds_and_recovers() {
    let server = Server::start(Options {
        max_connections: 2,
        ..OPTIONS
    })
    .await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    get(&mut first).await;
    get(&mut second).await;
    // The kernel accepts it; the server doesn't, and so no response comes.
    let mut third = server.connect().await;
    third.write_all(GET).await.unwrap();
    let mut byte = [0];
    assert!(timeout(SHORT, third.read_exact(&mut byte)).await.is_err());
    drop(first);
    read_until(&mut third, "ok").await;
    drop(second);
    get(&mut server.connect().await).await;
}

#[tokio::test]
async fn an_upgraded_connection_counts_until_it_is_closed() {
    let server = Server::start(Options {
        max_connections: 1,
        head_timeout: SHORT,
        keep_alive_timeout: SHORT,
        ..OPTIONS
    })
    .await;
    let mut upgraded = server.connect().await;
    let upgrade =
        b"GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    upgraded.write_all(upgrade).await.unwrap();
    read_until(&mut upgraded, "\r\n\r\n").await;
    let mut other = server.connect().await;
    other.write_all(GET).await.unwrap();
    // Longer than both timers, neither of which is about an upgraded connection.
    let mut byte = [0];
    assert!(
        timeout(SHORT * 3, other.read_exact(&mut byte))
            .await
            .is_err()
    );
    upgraded.write_all(b"ping").await.unwrap();
    read_until(&mut upgraded, "ping").await;
    drop(upgraded);
    read_until(&mut other, "ok").await;
}

#[tokio::test]
async fn graceful_shutdown_waits_for_requests_in_flight_and_closes_idle_connections() {
    let server = Server::start(OPTIONS).await;
    let mut idle = server.connect().await;
    get(&mut idle).await;
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut busy, "\r\n\r\n").await;
    server.stop.send(()).unwrap();
    let stopped = Instant::now();
    assert_eq!(read_to_end(&mut idle).await, "");
    assert_eq!(read_to_end(&mut silent).await, "");
    assert!(stopped.elapsed() < Duration::from_millis(500));
    assert!(!server.serving.is_finished());
    assert!(read_to_end(&mut busy).await.ends_with("9\r\n0\r\n\r\n"));
    timeout(LONG / 4, server.serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn after_the_drain_timeout_connections_are_closed() {
    let server = Server::start(Options {
        drain_timeout: SHORT,
        ..OPTIONS
    })
    .await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut busy, "\r\n\r\n").await;
    server.stop.send(()).unwrap();
    timeout(LONG / 4, server.serving).await.unwrap().unwrap();
    assert!(!read_to_end(&mut busy).await.ends_with("0\r\n\r\n"));
}

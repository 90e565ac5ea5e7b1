//! HTTP load: connections that each send the next request as soon as the previous one is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Measures the requests per second that `address` answers at `path` over `connections` kept-alive
/// connections. Each request has these headers in addition to `Host`.
///
/// # Errors
/// When a status is not 200, since fast failures must not count.
pub(crate) async fn requests_per_second(
    address: SocketAddr,
    path: &'static str,
    headers: &HeaderMap,
    connections: usize,
    duration: Duration,
) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let clients: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(client(address, path, headers.clone(), begin + duration)))
        .collect();
    let mut responses = 0;
    for client in clients {
        responses += client.await??;
    }
    Ok(f64::from(responses) / begin.elapsed().as_secs_f64())
}

async fn client(
    address: SocketAddr,
    path: &str,
    headers: HeaderMap,
    until: Instant,
) -> anyhow::Result<u32> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut responses = 0;
    while Instant::now() < until {
        let mut request = Request::get(path)
            .header(header::HOST, "bench")
            .body(Empty::<Bytes>::new())?;
        request.headers_mut().extend(headers.clone());
        let response = sender.send_request(request).await?;
        anyhow::ensure!(
            response.status() == 200,
            "unexpected status {}",
            response.status()
        );
        response.into_body().collect().await?;
        responses += 1;
    }
    Ok(responses)
}

/// Sends requests without pause until `address` answers `path` with 200.
///
/// # Errors
/// When that takes more than ten seconds.
pub(crate) fn wait_for_success(address: SocketAddr, path: &str) -> anyhow::Result<()> {
    use std::io::{Read as _, Write as _};
    let begin = Instant::now();
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n");
    while begin.elapsed() < Duration::from_secs(10) {
        let Ok(mut stream) = std::net::TcpStream::connect(address) else {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        };
        stream.write_all(request.as_bytes())?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        if response.starts_with("HTTP/1.1 200") {
            return Ok(());
        }
    }
    None.context("no successful response within ten seconds")
}

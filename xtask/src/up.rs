//! `cargo xtask up`: builds and runs the whole bundle on this machine, and prints its URL.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::build;
use crate::doctor::{self, Need};
use crate::process::Supervisor;
use crate::progress;
use crate::repository::Repository;
use crate::settings::Settings;
use crate::signals::Interrupted;
use crate::stack::{DataFolder, Stack};

/// The default port. If it is taken, a free one is used.
const DEFAULT_PORT: u16 = 3000;
/// Without precompiled components, the router compiles them first.
const ROUTER_TIMEOUT: Duration = Duration::from_secs(120);
/// The path of the router's health check, the same as Spin's.
const HEALTH: &str = "/.well-known/spin/health";
/// Must be less than the [`Supervisor`]'s timeout before SIGKILL.
const DRAIN_SECONDS: &str = "5";

/// The flags of `up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Clear the data first
    #[arg(long)]
    reset: bool,
    /// Listen on this port of 127.0.0.1 [default: HTTP_ADDR or PORT if set, else 3000 or a free one]
    #[arg(long)]
    port: Option<u16>,
}

/// Builds and starts everything, prints the URL, and stops everything when a signal arrives.
///
/// # Errors
/// When the build fails, or a program doesn't start or exits.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<()> {
    let begin = Instant::now();
    doctor::require(repository, &[Need::Postgres])?;
    let binaries = build::all(repository)?;
    let data = DataFolder::open(repository)?;
    if arguments.reset {
        data.clear()?;
    }

    let built = Instant::now();
    let mut supervisor = Supervisor::new();
    ignore_interruption((|| {
        let stack = Stack::start(repository, &binaries, &data, &mut supervisor)?;
        let mut router = binaries.router_command(repository, "serve");
        router.arg("--exit-with-stdin");
        stack.configure(&mut router);
        choose_address(repository, arguments, &mut router)?;
        let router = supervisor.start("router", &mut router)?;
        let address = parse_address(&supervisor.first_line(router, ROUTER_TIMEOUT)?)?;
        supervisor.wait_for("the health check", ROUTER_TIMEOUT, || is_healthy(address))?;
        let application = format!("http://{address}");
        stack.start_callers(repository, &binaries, &application, &mut supervisor)?;

        println!("{application}");
        progress::status(
            "Ready",
            format!(
                "after {:.1} s, {:.1} s of it since the build; Ctrl-C stops it",
                begin.elapsed().as_secs_f32(),
                built.elapsed().as_secs_f32(),
            ),
        );
        supervisor.wait()
    })())
}

/// Turns [`Interrupted`] into success, since a signal during the start is no failure.
pub(crate) fn ignore_interruption(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is::<Interrupted>() => Ok(()),
        result => result,
    }
}

fn choose_address(
    repository: &Repository,
    arguments: &Arguments,
    router: &mut Command,
) -> Result<()> {
    let settings = Settings::read(repository)?;
    if settings.value("DRAIN_SECONDS").is_none() {
        router.env("DRAIN_SECONDS", DRAIN_SECONDS);
    }
    if let Some(port) = arguments.port {
        router.args(["--listen", &format!("127.0.0.1:{port}")]);
    } else if settings.value("HTTP_ADDR").is_none() && settings.value("PORT").is_none() {
        router.args(["--listen", &format!("127.0.0.1:{}", default_port())]);
    }
    Ok(())
}

/// Returns the default port if it is free, else 0, which lets the system choose.
fn default_port() -> u16 {
    match TcpListener::bind(("127.0.0.1", DEFAULT_PORT)) {
        Ok(_) => DEFAULT_PORT,
        Err(_) => {
            progress::note(format!("port {DEFAULT_PORT} is taken: using another"));
            0
        }
    }
}

/// Parses `listening on http://127.0.0.1:3000`. An unspecified address becomes loopback.
pub(crate) fn parse_address(line: &str) -> Result<SocketAddr> {
    let mut address: SocketAddr = line
        .rsplit_once("http://")
        .and_then(|(_, address)| address.trim().trim_end_matches('/').parse().ok())
        .with_context(|| format!("expected `listening on http://…`, got {line:?}"))?;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Ok(address)
}

/// Returns `Some` if the router's health check succeeds.
fn is_healthy(address: SocketAddr) -> Option<()> {
    let timeout = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, timeout).ok()?;
    stream.set_read_timeout(Some(timeout)).ok()?;
    let request = format!("GET {HEALTH} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).ok()?;
    (status == *b"HTTP/1.1 200").then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        for (line, expected) in [
            ("listening on http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("listening on http://0.0.0.0:8080/", "127.0.0.1:8080"),
            ("listening on http://[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(parse_address(line).unwrap(), expected.parse().unwrap());
        }
        assert!(parse_address("listening").is_err());
        assert!(parse_address("http://somewhere").is_err());
    }

    #[test]
    fn only_status_200_is_healthy() {
        for (response, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK", Some(())),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", None),
            ("", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let length = stream.read(&mut request).unwrap();
                stream.write_all(response.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..length]).into_owned()
            });
            assert_eq!(is_healthy(address), expected);
            assert!(
                server
                    .join()
                    .unwrap()
                    .starts_with("GET /.well-known/spin/health HTTP/1.1\r\n")
            );
        }
    }
}

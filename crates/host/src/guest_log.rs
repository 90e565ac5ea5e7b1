//! Standard output and error of guests, written line by line to the router's log.
//!
//! A line longer than [`MAX_LINE`] is split, so that a guest can't make the host buffer more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// Maximum length of a line in bytes.
const MAX_LINE: usize = 4096;

/// Standard output or error of one component's instances.
#[derive(Clone)]
pub(crate) struct GuestLog {
    component: Arc<str>,
    stream: Stream,
}

#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl GuestLog {
    pub(crate) fn stdout(component: &Arc<str>) -> Self {
        Self {
            component: Arc::clone(component),
            stream: Stream::Stdout,
        }
    }

    /// Logs each line as a warning, because Rust guests print their panics here.
    pub(crate) fn stderr(component: &Arc<str>) -> Self {
        Self {
            component: Arc::clone(component),
            stream: Stream::Stderr,
        }
    }

    fn write_line(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let component = &*self.component;
        match self.stream {
            Stream::Stdout => tracing::info!(target: "guest", component, "{line}"),
            Stream::Stderr => tracing::warn!(target: "guest", component, "{line}"),
        }
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(LineWriter {
            log: self.clone(),
            line: Vec::new(),
        })
    }
}

/// Collects bytes into lines. Logs an incomplete line when the guest ends.
struct LineWriter {
    log: GuestLog,
    line: Vec<u8>,
}

impl AsyncWrite for LineWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
            }
            if byte == b'\n' || self.line.len() >= MAX_LINE {
                let line = std::mem::take(&mut self.line);
                self.log.write_line(&line);
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.log.write_line(&self.line);
        }
    }
}

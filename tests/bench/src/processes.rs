//! The programs that are measured. They stop with this one.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;

use anyhow::Context as _;

/// A process that is killed when this value is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if the process has exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the path of the program `name` of the same build as this one.
pub(crate) fn beside_this(name: &str) -> PathBuf {
    std::env::current_exe().map_or_else(|_| name.into(), |path| path.with_file_name(name))
}

/// Reads the first line that a program prints. Its stdout must be piped.
///
/// # Errors
/// When reading fails.
pub(crate) fn first_line(child: &mut Child) -> anyhow::Result<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("stdout is not piped")?).read_line(&mut line)?;
    Ok(line)
}

/// Reads the address from the line that a server prints when it is ready.
///
/// # Errors
/// When it prints something else, or exits.
pub(crate) fn listening_address(child: &mut Child) -> anyhow::Result<SocketAddr> {
    let line = first_line(child)?;
    let address = line.trim().strip_prefix("listening on http://");
    Ok(address.context("the server did not start")?.parse()?)
}

//! Programs that are measured, started beside this one and ended with it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;

use anyhow::Context as _;

/// A process that ends with this value.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program `name` of the same build as this one.
pub(crate) fn beside_this(name: &str) -> PathBuf {
    std::env::current_exe().map_or_else(|_| name.into(), |path| path.with_file_name(name))
}

/// The first line that a program prints. Its output must be piped.
///
/// # Errors
/// When it can't be read.
pub(crate) fn first_line(child: &mut Child) -> anyhow::Result<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("its output is piped")?).read_line(&mut line)?;
    Ok(line)
}

/// The address in the line by which a server says that it is ready.
///
/// # Errors
/// When it says something else, or ends.
pub(crate) fn listening_address(child: &mut Child) -> anyhow::Result<SocketAddr> {
    let line = first_line(child)?;
    let address = line.trim().strip_prefix("listening on http://");
    Ok(address.context("it did not start")?.parse()?)
}

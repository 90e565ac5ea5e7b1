//! Helpers of the whole-system tests: paths, processes, and unused addresses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod process;

use std::net::TcpListener;
use std::path::{Path, PathBuf};

pub use process::Process;

/// Returns the path of a program of this workspace, of the same build as the running test.
///
/// # Panics
/// When the program isn't built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test.ancestors().nth(2).unwrap_or(Path::new(""));
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo xtask test`",
        path.display()
    );
    path
}

/// Returns the root of this repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Returns an address of this machine at which no server listens.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "every machine has a free port")]
pub fn unused_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

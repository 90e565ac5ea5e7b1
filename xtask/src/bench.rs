//! `cargo xtask bench`: measurements in one run, side by side with the peer, reported as ratios.

use anyhow::Result;

use crate::build;
use crate::doctor::{self, Need};
use crate::repository::Repository;
use crate::shell;

/// The flags of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to measure
    suite: Suite,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Suite {
    /// Start, throughput and memory of the router
    Router,
    /// SQL over HTTP
    Sql,
}

/// Builds everything, optimised, and runs the measurement.
///
/// # Errors
/// When it can't be built or run.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<()> {
    doctor::require(repository, &[Need::Postgres])?;
    let development = build::all(repository)?;
    build::guests(repository, &development)?;
    shell::run(&mut repository.cargo_command([
        "build",
        "--release",
        "--package",
        "tirage",
        "--package",
        "tirage-devstack",
    ]))?;
    let name = match arguments.suite {
        Suite::Router => "router",
        Suite::Sql => "sql",
    };
    shell::run_with_stdout(
        repository
            .cargo_command(["run", "--quiet", "--release", "--package", "tirage-tests"])
            .args(["--bin", "bench", "--", name])
            .env("TIRAGE_BIN_DIR", repository.target_dir().join("release"))
            .env("TIRAGE_BUILD_DIR", repository.build_dir()),
    )
}

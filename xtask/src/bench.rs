//! `cargo xtask bench`: builds everything with the release profile and runs `tests/bench`, which measures
//! us and a peer in the same run and reports ratios.

use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::doctor::{self, Need};
use crate::node_package::NodePackage;
use crate::repository::Repository;
use crate::shell;

/// The flags of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The benchmark to run; `help` lists all
    #[arg(default_value = "router")]
    name: String,
}

/// The peer of `bench photo`.
const SHARP: &str = "tests/sharp";

/// Builds everything and runs the benchmark.
///
/// # Errors
/// When the build or the benchmark fails.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<()> {
    doctor::require(repository, &[Need::Postgres])?;
    if arguments.name == "photo"
        && let Some(sharp) = NodePackage::find(repository, SHARP)?
    {
        sharp.install()?;
    }
    let binaries = build::all(repository)?;
    build::guests(repository, &binaries)?;
    // The benchmark expects the router in its own folder.
    shell::run(
        repository
            .cargo_command(["build", "--release", "--package", "tirage"])
            .args(["--package", "tirage-bench", "--package", "tirage-devstack"]),
    )?;
    let bench = repository.target_dir().join("release/tirage-bench");
    shell::run_with_stdout(
        Command::new(bench)
            .arg(&arguments.name)
            .current_dir(repository.root()),
    )
}

//! `cargo xtask bench`: measurements in one run, side by side with the peer, reported as ratios.
//!
//! What is measured, and how, is the business of `tests/bench`; here its parts are built, optimised.

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
    /// What to measure; `help` lists what there is
    #[arg(default_value = "router")]
    name: String,
}

/// The peer of `bench photo`.
const SHARP: &str = "tests/sharp";

/// Builds everything, optimised, and runs the measurement.
///
/// # Errors
/// When it can't be built or run.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<()> {
    doctor::require(repository, &[Need::Postgres])?;
    if arguments.name == "photo"
        && let Some(sharp) = NodePackage::find(repository, SHARP)?
    {
        sharp.install()?;
    }
    let binaries = build::all(repository)?;
    build::guests(repository, &binaries)?;
    // It looks for the router beside itself.
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

//! `cargo xtask test`: runs all checks and tests.
//!
//! Each runner's output is passed through unchanged. A failure doesn't stop the other runners, so that
//! one run shows all problems.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::build;
use crate::doctor::{self, Need};
use crate::frontend;
use crate::native::Binaries;
use crate::node_package::NodePackage;
use crate::progress;
use crate::python;
use crate::repository::Repository;
use crate::shell;
use crate::signals::Interrupted;

/// The workspaces that are built for WebAssembly. Their lints are checked and their unit tests run
/// natively, since these need no host.
const COMPONENT_WORKSPACES: [&str; 2] = ["functions", "tests/guests"];
/// The tests of the SQL gateway with Neon's own driver.
pub(crate) const NEON: &str = "tests/neon";
/// Names the program for the tests marked as ignored: Spin 4.1 or newer.
const SPIN: &str = "TIRAGE_SPIN";
/// The scripts of the web app that are checks, if they exist.
const FRONTEND_CHECKS: [&str; 3] = ["check", "lint", "test"];

/// The flags of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Run only Rust tests whose name contains this, and no other checks
    filter: Option<String>,
}

/// Builds everything and runs all checks and tests.
///
/// # Errors
/// When one fails; the error lists the failed ones.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<()> {
    doctor::require(
        repository,
        &[Need::Lints, Need::Node, Need::Postgres, Need::Python],
    )?;
    let binaries = build::all(repository)?;
    build::guests(repository, &binaries)?;

    let filter = arguments.filter.as_deref();
    let neon = match filter {
        None => NodePackage::find(repository, NEON)?,
        Some(_) => None,
    };
    if let Some(neon) = &neon {
        neon.install()?;
    }

    let mut report = Report::default();
    if filter.is_none() {
        check_format(repository, &mut report)?;
        check_lints(repository, &mut report)?;
        check_frontend(repository, &mut report)?;
    }
    let python = python::ensure(repository)?;
    run_tests(repository, filter, &python, &mut report)?;
    if let Some(neon) = &neon {
        report.run("tests with Neon's driver", &mut neon_tests(neon, &binaries))?;
    }
    report.finish()
}

fn check_format(repository: &Repository, report: &mut Report) -> Result<()> {
    let format = || repository.cargo_command(["fmt", "--all", "--check"]);
    report.run("format", &mut format())?;
    for workspace in COMPONENT_WORKSPACES {
        report.run(
            &format!("format of {workspace}"),
            format().arg("--manifest-path").arg(manifest(workspace)),
        )?;
    }
    Ok(())
}

fn check_lints(repository: &Repository, report: &mut Report) -> Result<()> {
    let clippy = || repository.cargo_command(["clippy", "--quiet", "--workspace", "--all-targets"]);
    report.run("lints", clippy().args(DENY_WARNINGS))?;
    for workspace in COMPONENT_WORKSPACES {
        report.run(
            &format!("lints of {workspace}"),
            clippy()
                .arg("--manifest-path")
                .arg(manifest(workspace))
                .args(DENY_WARNINGS),
        )?;
    }
    Ok(())
}

const DENY_WARNINGS: [&str; 3] = ["--", "--deny", "warnings"];

fn check_frontend(repository: &Repository, report: &mut Report) -> Result<()> {
    let Some(frontend) = frontend::find(repository)? else {
        return Ok(());
    };
    for script in FRONTEND_CHECKS {
        if frontend.has(script) {
            report.run(&format!("frontend: {script}"), &mut frontend.script(script))?;
        }
    }
    Ok(())
}

fn run_tests(
    repository: &Repository,
    filter: Option<&str>,
    python: &Path,
    report: &mut Report,
) -> Result<()> {
    let test = || repository.cargo_command(["test", "--no-fail-fast", "--workspace"]);
    report.run(
        "tests",
        test()
            .args(filter)
            .env(python::VARIABLE, python)
            .args(optional_tests()),
    )?;
    // Guests have no tests of their own.
    report.run(
        "tests of functions",
        test()
            .args(["--lib", "--manifest-path", &manifest("functions")])
            .args(filter),
    )
}

/// Returns the arguments that add the tests which need Spin, if it is there. The test runner counts them as
/// ignored otherwise.
fn optional_tests() -> &'static [&'static str] {
    match std::env::var_os(SPIN) {
        Some(_) => &["--", "--include-ignored"],
        None => &[],
    }
}

/// Returns the command that runs the tests with Neon's driver, which start and stop the programs
/// themselves.
fn neon_tests(package: &NodePackage, binaries: &Binaries) -> Command {
    let mut command = package.script("test");
    command
        .env("TIRAGE", binaries.tirage())
        .env("TIRAGE_DEVSTACK", binaries.devstack());
    command
}

fn manifest(workspace: &str) -> String {
    format!("{workspace}/Cargo.toml")
}

/// The results of all runners.
#[derive(Default)]
struct Report {
    passed: Vec<String>,
    failed: Vec<String>,
}

impl Report {
    /// Runs a runner and records its result.
    ///
    /// # Errors
    /// Only [`Interrupted`].
    fn run(&mut self, name: &str, command: &mut Command) -> Result<()> {
        progress::status("Checking", name);
        match shell::run_with_stdout(command) {
            Ok(()) => self.passed.push(name.to_owned()),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                progress::note(format!("{error:#}"));
                self.failed.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        progress::status("Passed", self.passed.join(", "));
        if !self.failed.is_empty() {
            bail!("failed: {}", self.failed.join(", "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_the_run_after_the_others_ran() {
        let mut report = Report::default();
        report.run("first", &mut Command::new("false")).unwrap();
        report.run("second", &mut Command::new("true")).unwrap();
        report.run("third", &mut Command::new("false")).unwrap();
        assert_eq!(report.passed, ["second"]);
        assert_eq!(
            report.finish().unwrap_err().to_string(),
            "failed: first, third"
        );
    }
}

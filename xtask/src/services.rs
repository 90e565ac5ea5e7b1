//! `cargo xtask services`: what the functions need around them, for running them under Spin.
//!
//! Functions under Spin reach the database through a gateway on loopback, with a password made for
//! this run: another program on this machine that finds the port can do nothing with it.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::doctor::{self, Need};
use crate::manifest;
use crate::native::Binaries;
use crate::process::Supervisor;
use crate::progress;
use crate::repository::Repository;
use crate::shell;
use crate::stack::{DataFolder, Stack};
use crate::up::{interrupted_is_fine, parse_address};

const GATEWAY_PATIENCE: Duration = Duration::from_secs(30);
/// What the gateway reads its password from.
const PASSWORD: &str = "SQL_GATEWAY_PASSWORD";

/// The flags of `services`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Clear the data first
    #[arg(long)]
    reset: bool,
}

/// Starts the services, brings the database up to date, prints the line for Spin, and stops
/// everything when told to.
///
/// # Errors
/// When something can't be built or started, or ends by itself.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<()> {
    doctor::require(repository, &[Need::NativeLinker, Need::Postgres])?;
    let binaries = Binaries::build(repository)?;
    let data = DataFolder::open(repository)?;
    if arguments.reset {
        data.clear()?;
    }

    let mut supervisor = Supervisor::new();
    interrupted_is_fine((|| {
        let stack = Stack::start(repository, &binaries, &data, &mut supervisor)?;
        let mut migrate = binaries.router_command(repository, "migrate");
        stack.configure(&mut migrate);
        shell::run(&mut migrate)?;

        let role = role(repository)?;
        let password = password()?;
        let mut gateway = binaries.router_command(repository, "sql-gateway");
        gateway
            .args(["--listen", "127.0.0.1:0", "--exit-with-stdin"])
            .env(PASSWORD, &password);
        stack.configure(&mut gateway);
        let gateway = supervisor.start("sql-gateway", &mut gateway)?;
        let address = parse_address(&supervisor.first_line(gateway, GATEWAY_PATIENCE)?)?;

        let caller = format!("{role}:{password}");
        let line = spin_line(&caller, &address.to_string(), stack.database_name()?);
        println!("{line}");
        progress::status("Ready", "Ctrl-C stops it");
        supervisor.wait()
    })())
}

/// 256 random bits in hexadecimal.
fn password() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The role that the components are to the database. Under Spin they share one variable, and so one.
fn role(repository: &Repository) -> Result<String> {
    manifest::components(repository)?
        .into_iter()
        .find_map(|component| component.database_role)
        .context("no component of spin.toml has a database_role")
}

fn spin_line(caller: &str, address: &str, database: &str) -> String {
    format!(
        "SPIN_VARIABLE_DATABASE_HTTP_URL=http://{address} \
         SPIN_VARIABLE_DATABASE_CONNECTION_STRING=postgres://{caller}@{address}/{database} \
         spin up"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_fit_into_a_url() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn the_line_for_spin_is_ready_to_paste() {
        assert_eq!(
            spin_line("tirage_api:secret", "127.0.0.1:4444", "tirage"),
            "SPIN_VARIABLE_DATABASE_HTTP_URL=http://127.0.0.1:4444 \
             SPIN_VARIABLE_DATABASE_CONNECTION_STRING=postgres://tirage_api:secret@127.0.0.1:4444/tirage \
             spin up"
        );
    }
}

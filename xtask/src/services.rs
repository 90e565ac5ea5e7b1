//! `cargo xtask services`: the services that functions need, for running the functions under Spin.
//!
//! Functions under Spin reach the database through a gateway on loopback, with a password of this run, so
//! that other programs on this machine can't use the gateway.

use std::time::Duration;

use anyhow::Result;

use crate::doctor::{self, Need};
use crate::native::Binaries;
use crate::process::Supervisor;
use crate::progress;
use crate::repository::Repository;
use crate::shell;
use crate::stack::{DataFolder, Stack, random_secret};
use crate::up::{ignore_interruption, parse_address};

const GATEWAY_TIMEOUT: Duration = Duration::from_secs(30);
/// The database roles of components, as in `spin.toml`.
const API_ROLE: &str = "tirage_api";
const WORKER_ROLE: &str = "tirage_worker";
/// The setting with the gateway's password.
const PASSWORD: &str = "SQL_GATEWAY_PASSWORD";

/// The flags of `services`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Clear the data first
    #[arg(long)]
    reset: bool,
    /// Run the queue's trigger and the schedule against the application at this URL
    #[arg(long, value_name = "URL")]
    app: Option<String>,
}

/// Starts the services, applies the migrations, prints the command line for Spin, and stops everything
/// when a signal arrives.
///
/// # Errors
/// When the build fails, or a service doesn't start or exits.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<()> {
    doctor::require(repository, &[Need::NativeLinker, Need::Postgres])?;
    let binaries = Binaries::build(repository)?;
    let data = DataFolder::open(repository)?;
    if arguments.reset {
        data.clear()?;
    }

    let mut supervisor = Supervisor::new();
    ignore_interruption((|| {
        let stack = Stack::start(repository, &binaries, &data, &mut supervisor)?;
        let mut migrate = binaries.router_command(repository, "migrate");
        stack.configure(&mut migrate);
        shell::run(&mut migrate)?;

        let password = random_secret()?;
        let mut gateway = binaries.router_command(repository, "sql-gateway");
        gateway
            .args(["--listen", "127.0.0.1:0", "--exit-with-stdin"])
            .env(PASSWORD, &password);
        stack.configure(&mut gateway);
        let gateway = supervisor.start("sql-gateway", &mut gateway)?;
        let address = parse_address(&supervisor.first_line(gateway, GATEWAY_TIMEOUT)?)?;

        if let Some(application) = &arguments.app {
            stack.start_callers(repository, &binaries, application, &mut supervisor)?;
        }
        let gateway = Gateway {
            address: address.to_string(),
            password,
            database: stack.database_name()?.to_owned(),
        };
        println!("{}", spin_line(&gateway, &stack.environment()));
        progress::status("Ready", "Ctrl-C stops it");
        supervisor.wait()
    })())
}

/// A gateway to the database.
struct Gateway {
    address: String,
    password: String,
    database: String,
}

impl Gateway {
    fn connection_string(&self, role: &str) -> String {
        let Self {
            address,
            password,
            database,
        } = self;
        format!("postgres://{role}:{password}@{address}/{database}")
    }
}

/// Returns the command line that runs Spin with the variables of the services. It leaves out the
/// database's own address, which only the gateway needs.
fn spin_line(gateway: &Gateway, services: &[(&str, &str)]) -> String {
    let variables = [
        ("DATABASE_HTTP_URL", format!("http://{}", gateway.address)),
        (
            "DATABASE_CONNECTION_STRING",
            gateway.connection_string(API_ROLE),
        ),
        (
            "WORKER_DATABASE_CONNECTION_STRING",
            gateway.connection_string(WORKER_ROLE),
        ),
    ];
    let services = services
        .iter()
        .filter(|(name, _)| !name.starts_with("DATABASE_"))
        .map(|(name, value)| (*name, (*value).to_owned()));
    let mut words: Vec<_> = variables
        .into_iter()
        .chain(services)
        .map(|(name, value)| format!("SPIN_VARIABLE_{name}={value}"))
        .collect();
    words.push("spin up".to_owned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_for_spin_has_all_variables() {
        let gateway = Gateway {
            address: "127.0.0.1:4444".to_owned(),
            password: "secret".to_owned(),
            database: "tirage".to_owned(),
        };
        let services = [("DATABASE_URL", "postgres://u:p@h/d"), ("S3_BUCKET", "b")];
        assert_eq!(
            spin_line(&gateway, &services),
            "SPIN_VARIABLE_DATABASE_HTTP_URL=http://127.0.0.1:4444 \
             SPIN_VARIABLE_DATABASE_CONNECTION_STRING=postgres://tirage_api:secret@127.0.0.1:4444/tirage \
             SPIN_VARIABLE_WORKER_DATABASE_CONNECTION_STRING=postgres://tirage_worker:secret@127.0.0.1:4444/tirage \
             SPIN_VARIABLE_S3_BUCKET=b spin up"
        );
    }
}

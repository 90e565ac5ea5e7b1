//! `tirage`: hosts the functions of a `spin.toml`.
//!
//! This file is the command line; each command has a module. Settings come from flags, then the
//! environment, then `.env` beside the manifest. Exit codes: 0 after a requested shutdown, 1 after a
//! failure, 2 after an invalid command line.

mod access_log;
mod application;
mod environment;
mod live;
mod logging;
mod metrics;
mod problem;
mod runtime;
mod self_call;
mod serve;
mod service;
mod shutdown;
mod sql;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
#[cfg(feature = "compiler")]
use tirage_manifest::World;

/// Hosts WebAssembly functions described by a spin.toml.
#[derive(Parser)]
#[command(name = "tirage", version, about)]
enum Command {
    /// Serves the application.
    Serve(serve::Arguments),
    /// Brings the database up to date over DATABASE_ADMIN_URL (default: DATABASE_URL).
    Migrate(sql::MigrateArguments),
    /// Serves SQL over HTTP on an address of its own, for Spin and other programs.
    SqlGateway(sql::GatewayArguments),
    /// Compiles a component for this processor.
    #[cfg(feature = "compiler")]
    Precompile {
        /// The component.
        component: PathBuf,
        /// The output; by convention the same name with .cwasm.
        compiled: PathBuf,
    },
    /// Checks that a component imports no more than its world grants.
    #[cfg(feature = "compiler")]
    Check {
        /// The component.
        component: PathBuf,
        /// One of step, site, api, worker.
        #[arg(long, value_parser = world)]
        world: World,
    },
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Migrate(arguments) => sql::migrate(arguments),
        Command::SqlGateway(arguments) => sql::serve_gateway(arguments),
        #[cfg(feature = "compiler")]
        Command::Precompile {
            component,
            compiled,
        } => tirage_host::precompile(&component, &compiled).map_err(Into::into),
        #[cfg(feature = "compiler")]
        Command::Check { component, world } => {
            tirage_host::check(&component, world).map_err(Into::into)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tirage: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Formats an error and its causes. A cause that an earlier message already contains is left out.
fn explain(error: &anyhow::Error) -> String {
    let mut explanation = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if explanation.is_empty() {
            explanation = cause;
        } else if !explanation.contains(&cause) {
            explanation = format!("{explanation}: {cause}");
        }
    }
    explanation
}

#[cfg(feature = "compiler")]
fn world(name: &str) -> Result<World, String> {
    [World::Step, World::Site, World::Api, World::Worker]
        .into_iter()
        .find(|world| world.as_str() == name)
        .ok_or_else(|| "must be step, site, api or worker".to_owned())
}

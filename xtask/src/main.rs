//! The commands of this repository.
//!
//! Most work needs only `cargo xtask up` and `cargo xtask test`. This file is the command line; each
//! command has a module.

mod bench;
mod build;
mod components;
mod demo;
mod doctor;
mod freshness;
mod frontend;
mod manifest;
mod native;
mod node_package;
mod process;
mod progress;
mod python;
mod repository;
mod services;
mod settings;
mod shell;
mod signals;
mod stack;
mod test;
mod toolchain;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::repository::Repository;
use crate::signals::Interrupted;

/// The commands of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Check the required tools, and print how to install missing ones
    Doctor,
    /// Build the functions, the web app, the router and the devstack
    Build,
    /// Build and start everything, and print one URL
    Up(up::Arguments),
    /// Start only the services, and print how to run the functions under Spin
    Services(services::Arguments),
    /// Upload a folder to the running application, and print the result of each file
    Demo(demo::Arguments),
    /// Run all checks and tests
    Test(test::Arguments),
    /// Run a benchmark
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let command = Command::parse();
    let result = signals::catch().and_then(|()| run(command));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The user who interrupted us needs no message.
        Err(error) if error.is::<Interrupted>() => ExitCode::from(130),
        Err(error) => {
            eprintln!("{} {error:#}", progress::style("1;31", "error:"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let repository = Repository::current()?;
    match command {
        Command::Doctor => doctor::run(&repository),
        Command::Build => build::all(&repository).map(drop),
        Command::Up(arguments) => up::run(&repository, &arguments),
        Command::Services(arguments) => services::run(&repository, &arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&repository, &arguments),
        Command::Bench(arguments) => bench::run(&repository, &arguments),
    }
}

//! `cargo xtask bench <name>`: measures ours and the peer in one run and prints ratios, targets met
//! or not. Absolute numbers mean something only on the machine and in the run that they stand for.

mod load;
mod peer;
mod photo;
mod processes;
mod router;
mod sql;
mod statistics;
mod uploads;

use clap::Parser;

/// What to measure.
#[derive(Parser)]
enum Command {
    /// Prints of photos beside sharp's, then photos through the whole system.
    Photo,
    /// Start, throughput and memory of the router.
    Router,
    /// SQL over HTTP, in process and over a socket.
    Sql,
    /// Only the second half of `photo`.
    Uploads,
    /// A bare `ProxyHandler` loop: what the router is measured against. Started by `router`.
    #[command(hide = true)]
    Peer {
        /// The component that it serves.
        component: std::path::PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Photo => {
            photo::run()?;
            uploads::run()
        }
        Command::Router => router::run(),
        Command::Sql => sql::run(),
        Command::Uploads => uploads::run(),
        Command::Peer { component } => peer::serve(&component),
    }
}

//! `cargo xtask bench <name>`: measures ours and a peer in the same run, and prints ratios and whether
//! targets are met. Absolute numbers are comparable only within a run.

mod load;
mod peer;
mod photo;
mod processes;
mod router;
mod sql;
mod statistics;
mod uploads;
mod wasi;

use clap::Parser;

/// The benchmark to run.
#[derive(Parser)]
enum Command {
    /// Variants of photos compared with sharp's, then uploads through the whole system.
    Photo,
    /// Start time, throughput and memory of the router.
    Router,
    /// SQL over HTTP, in process and over a socket.
    Sql,
    /// The second half of `photo` only.
    Uploads,
    /// A bare `ProxyHandler` loop, the peer of the router. Started by `router`.
    #[command(hide = true)]
    Peer {
        /// The component to serve.
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

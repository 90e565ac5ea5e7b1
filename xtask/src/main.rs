//! The commands of this repository: `cargo xtask up`, `test`, `build`, and their like.

mod progress;
mod repository;
mod shell;
mod toolchain;

use anyhow::Result;

use crate::repository::Repository;
use crate::toolchain::WasmToolchain;

fn main() -> Result<()> {
    let toolchain = WasmToolchain::find_or_make(&Repository::current()?)?;
    println!("{toolchain:#?}");
    Ok(())
}

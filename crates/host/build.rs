//! Generates the table of imports that each world grants from `wit/`.

use std::fmt::Write as _;
use std::path::Path;

use wit_parser::{Resolve, WorldItem, WorldKey};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let wit = Path::new("../../wit");
    println!("cargo::rerun-if-changed={}", wit.display());
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;

    let mut table = String::from(
        "/// Interfaces that each world of `wit/` may import, with versions.\n\
         pub(super) const WORLDS: &[(&str, &[&str])] = &[\n",
    );
    for (name, &world) in &resolve.packages[package].worlds {
        writeln!(table, "    ({name:?}, &[")?;
        for (key, item) in &resolve.worlds[world].imports {
            match (key, item) {
                (WorldKey::Interface(interface), WorldItem::Interface { .. }) => {
                    let id = resolve
                        .id_of(*interface)
                        .ok_or("an imported interface has no id")?;
                    writeln!(table, "        {id:?},")?;
                }
                // Types grant no permission.
                (_, WorldItem::Type { .. }) => {}
                _ => return Err(format!("world {name}: only interfaces may be imported").into()),
            }
        }
        writeln!(table, "    ]),")?;
    }
    table.push_str("];\n");
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("worlds.rs"), table)?;
    Ok(())
}

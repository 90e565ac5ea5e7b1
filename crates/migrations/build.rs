//! Lists `migrations/`, so that a file there is a migration here: nothing is said twice.

use std::fmt::Write as _;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    // Asked anew each time: two clones that share a target folder share this program as well.
    let package = std::env::var("CARGO_MANIFEST_DIR")?;
    let folder = Path::new(&package).join("../../migrations");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path.canonicalize()?);
        }
    }
    files.sort();

    let mut list = String::from("pub(crate) const FILES: &[(i32, &str, &str)] = &[\n");
    for (index, path) in files.iter().enumerate() {
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.ok_or("a migration's name is not UTF-8")?;
        let number: usize = name.get(..4).ok_or("no number")?.parse()?;
        if number != index + 1 {
            return Err(
                format!("{name}: migrations are numbered 0001, 0002, … without gaps").into(),
            );
        }
        writeln!(list, "    ({number}, {name:?}, include_str!({path:?})),")?;
    }
    list.push_str("];\n");
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("files.rs"), list)?;
    Ok(())
}

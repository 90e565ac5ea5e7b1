//! Golden files: `tests/golden/<name>.json` is the expected result of reading `<name>.toml`, or
//! `<name>.err` the expected error. `UPDATE_GOLDEN=1` rewrites both; review the diff.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use tirage_manifest::Manifest;

#[test]
fn results_equal_the_golden_files() {
    let mut manifests: Vec<PathBuf> = fs::read_dir("tests/golden")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    manifests.sort();
    assert!(!manifests.is_empty());

    let wrong: Vec<String> = manifests
        .iter()
        .filter_map(|path| check(path).err())
        .map(|error| error.to_string())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Compares the result of a manifest with its golden file, or writes that file.
fn check(path: &Path) -> Result<(), Box<dyn Error>> {
    let (extension, other, actual) = match Manifest::read(path) {
        Ok(manifest) => ("json", "err", serde_json::to_string_pretty(&manifest)?),
        Err(error) => ("err", "json", error.to_string()),
    };
    let actual = actual + "\n";
    let (golden, stale) = (path.with_extension(extension), path.with_extension(other));
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &actual)?;
        if stale.exists() {
            fs::remove_file(&stale)?;
        }
    }
    if stale.exists() {
        return Err(format!("expected the result {}, got:\n{actual}", stale.display()).into());
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    if actual != expected {
        let golden = golden.display();
        return Err(format!("{golden}: expected:\n{expected}\ngot:\n{actual}").into());
    }
    Ok(())
}

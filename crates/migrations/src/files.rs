//! The migrations that this program carries.

use sha2::{Digest as _, Sha256};

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// One file of `migrations/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its place in the order, from 1.
    pub number: i32,
    /// The file's name without its ending.
    pub name: &'static str,
    /// Statements, run in a transaction that also records them.
    pub sql: &'static str,
    /// SHA-256 of the statements, in hexadecimal.
    pub checksum: String,
}

impl Migration {
    /// A migration with these statements.
    pub fn new(number: i32, name: &'static str, sql: &'static str) -> Self {
        let checksum = Sha256::digest(sql.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            number,
            name,
            sql,
            checksum,
        }
    }
}

pub(crate) fn all() -> Vec<Migration> {
    FILES
        .iter()
        .map(|&(number, name, sql)| Migration::new(number, name, sql))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_ends_the_transaction_that_it_runs_in() {
        for migration in all() {
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

//! The user that Postgres runs as.
//!
//! Postgres refuses to run as root. If this process runs as root, everything that accesses the data
//! runs as the owner of the data, and new data belong to `postgres` if that user exists, else to
//! `nobody`. Otherwise Postgres runs as the current user.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User, geteuid};

use crate::error::{Error, IoContext};

/// The user that Postgres runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// The current user, which isn't root.
    Current,
    /// Another user; this process runs as root.
    Unprivileged { uid: Uid, gid: Gid },
}

impl Account {
    /// Returns the account for new data.
    pub(super) fn for_new_data() -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self::Current);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) =
                User::from_name(name).with_action(|| format!("look up user {name}"))?
            {
                return Ok(Self::Unprivileged {
                    uid: user.uid,
                    gid: user.gid,
                });
            }
        }
        // POSIX systems without `nobody` in their user database still reserve its number.
        Ok(Self::Unprivileged {
            uid: Uid::from_raw(65534),
            gid: Gid::from_raw(65534),
        })
    }

    /// Returns the account that owns the data directory `data`.
    ///
    /// # Errors
    /// [`Error::ForeignData`] if this process can't become the owner.
    pub(super) fn owning(data: &Path) -> Result<Self, Error> {
        let metadata = data
            .metadata()
            .with_action(|| format!("read the owner of {}", data.display()))?;
        let owner = Uid::from_raw(metadata.uid());
        let current = geteuid();
        if current.is_root() && !owner.is_root() {
            Ok(Self::Unprivileged {
                uid: owner,
                gid: Gid::from_raw(metadata.gid()),
            })
        } else if owner == current && !current.is_root() {
            Ok(Self::Current)
        } else {
            Err(Error::ForeignData {
                folder: data.to_owned(),
                owner: owner.as_raw(),
            })
        }
    }

    /// Builds a command that runs as this account, in `/`, in the C locale, without stdin, and without
    /// `PG*` variables, which would direct it to another server.
    pub(super) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir("/")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if let Self::Unprivileged { uid, gid } = self {
            // std also drops root's supplementary groups.
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    /// Changes the owner of `path` itself, not of its contents, to this account.
    pub(super) fn chown(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Current => Ok(()),
            Self::Unprivileged { uid, gid } => chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
                .with_action(|| format!("change the owner of {} to user {uid}", path.display())),
        }
    }

    /// `true` if this account can enter `folder`. Tested with a process, because permission bits
    /// aren't the only rule (access lists, mounts, containers).
    pub(super) fn can_enter(self, folder: &Path) -> bool {
        match self {
            Self::Current => true,
            Self::Unprivileged { .. } => self
                .command(Path::new("/bin/sh"))
                .args(["-c", "cd -- \"$0\""])
                .arg(folder)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
        }
    }
}

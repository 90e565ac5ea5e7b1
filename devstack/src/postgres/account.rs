//! Who Postgres runs as.
//!
//! Postgres refuses to run as root. Started by root, everything that touches the data therefore
//! runs as the owner of the data, and new data go to `postgres` where that user exists, else to
//! `nobody`. Started by anybody else, it runs as that person.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User, geteuid};

use super::error::{Doing, Error};

/// The user that Postgres runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// The one that runs this process, who is not root.
    Ourselves,
    /// Another one; this process is root.
    Unprivileged { uid: Uid, gid: Gid },
}

impl Account {
    /// The account for data that don't exist yet.
    pub(super) fn for_new_data() -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).doing(|| format!("look up user {name}"))? {
                return Ok(Self::Unprivileged {
                    uid: user.uid,
                    gid: user.gid,
                });
            }
        }
        // POSIX systems without a `nobody` in their user database still reserve its number.
        Ok(Self::Unprivileged {
            uid: Uid::from_raw(65534),
            gid: Gid::from_raw(65534),
        })
    }

    /// The account that owns the data folder `data`.
    ///
    /// # Errors
    /// [`Error::ForeignData`] if this process cannot act for the owner.
    pub(super) fn owning(data: &Path) -> Result<Self, Error> {
        let metadata = data
            .metadata()
            .doing(|| format!("look at {}", data.display()))?;
        let owner = Uid::from_raw(metadata.uid());
        let ourselves = geteuid();
        if ourselves.is_root() && !owner.is_root() {
            Ok(Self::Unprivileged {
                uid: owner,
                gid: Gid::from_raw(metadata.gid()),
            })
        } else if owner == ourselves && !ourselves.is_root() {
            Ok(Self::Ourselves)
        } else {
            Err(Error::ForeignData {
                folder: data.to_owned(),
                owner: owner.as_raw(),
            })
        }
    }

    /// A command that will run as this account, from `/`, in the C locale, without a terminal and
    /// without the `PG*` settings of the person's shell, which would steer it elsewhere.
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
            // Dropping to a uid also drops root's supplementary groups (std does that).
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    /// Gives `path` itself, not what is inside, to this account.
    pub(super) fn give(self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Unprivileged { uid, gid } => chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
                .doing(|| format!("give {} to user {uid}", path.display())),
        }
    }

    /// Whether this account may pass through `folder`. Found out by trying, because permission
    /// bits are not the whole truth (access lists, mounts, containers).
    pub(super) fn reaches(self, folder: &Path) -> bool {
        match self {
            Self::Ourselves => true,
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

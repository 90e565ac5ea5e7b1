//! Forcing a new cluster to disk while its server already runs.
//!
//! A new cluster is a thousand files, and to force each to disk takes longer than all the rest of
//! the set-up, seconds on a busy machine. So it is done afterwards, and the file `unsynced` stays
//! until it is done, if need be by a later start. Only a loss of power before that may cost the
//! cluster; nothing that happens to processes can.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::error::Error;
use super::files;
use super::folder::Folder;

/// The work under way. Dropping it leaves the rest to the next start.
pub(super) struct Syncing {
    cancelled: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Syncing {
    /// Notes that the data of `folder`, about to appear, will not be on disk.
    pub(super) fn owed_by(folder: &Folder) -> Result<(), Error> {
        files::write_private(&folder.home().join(MARKER), b"")
    }

    /// Begins the work in the background, if there is any.
    pub(super) fn begin(folder: &Folder) -> Self {
        let marker = folder.home().join(MARKER);
        let data = folder.data();
        let cancelled = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&cancelled);
        let thread = marker.exists().then(|| {
            std::thread::spawn(move || {
                match sync(&data, &seen).and_then(|()| fs::remove_file(&marker)) {
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                        tracing::warn!("cannot force {} to disk: {error}", data.display());
                    }
                    _ => {}
                }
            })
        });
        Self { cancelled, thread }
    }
}

impl Drop for Syncing {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has said what there was to say.
            let _ = thread.join();
        }
    }
}

const MARKER: &str = "unsynced";

/// Forces `path` and all that is in it to disk. What goes away meanwhile is passed over.
fn sync(path: &Path, cancelled: &AtomicBool) -> io::Result<()> {
    if cancelled.load(Ordering::Relaxed) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let sync_this = || {
        if path.symlink_metadata()?.is_dir() {
            for entry in fs::read_dir(path)? {
                sync(&entry?.path(), cancelled)?;
            }
        }
        File::open(path)?.sync_all()
    };
    match sync_this() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

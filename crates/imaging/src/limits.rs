//! What one picture may use up.

use crate::error::Error;

/// What one picture may use up. A picture that would take more is refused by what its header says,
/// before memory is taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The file's length in bytes. 64 MiB.
    pub file_bytes: u64,
    /// The pixels of all frames together. 100 million.
    pub pixels: u64,
    /// The memory of the whole work in bytes, the file's included. 512 MiB.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            pixels: 100_000_000,
            memory_bytes: 512 << 20,
        }
    }
}

impl Limits {
    /// Whether a file of this length may be looked at.
    ///
    /// # Errors
    /// [`Error::FileTooLarge`].
    pub fn check_file(&self, bytes: u64) -> Result<(), Error> {
        if bytes > self.file_bytes {
            return Err(Error::FileTooLarge {
                bytes,
                limit: self.file_bytes,
            });
        }
        Ok(())
    }

    pub(crate) fn check_pixels(&self, pixels: u64) -> Result<(), Error> {
        if pixels > self.pixels {
            return Err(Error::TooManyPixels {
                pixels,
                limit: self.pixels,
            });
        }
        Ok(())
    }

    pub(crate) fn check_memory(&self, needed: u64) -> Result<(), Error> {
        if needed > self.memory_bytes {
            return Err(Error::TooMuchMemory {
                needed,
                limit: self.memory_bytes,
            });
        }
        Ok(())
    }
}

//! Limits on the resources that one image may use.

use crate::error::Error;

/// Limits on the resources that one image may use. Its header decides whether it exceeds them, before
/// memory is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of the file in bytes. Default 64 MiB.
    pub file_bytes: u64,
    /// Pixels of all frames together. Default 100 million.
    pub pixels: u64,
    /// Memory for the whole processing in bytes, including the file. Default 512 MiB.
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
    /// Checks the length of a file.
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

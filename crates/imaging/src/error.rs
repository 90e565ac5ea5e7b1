//! Why there are no prints.

use crate::format::{Foreign, Format};

/// Why a file has no prints. The text is meant for the person whose file it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A format that is known, but not read.
    #[error("{0} is not supported yet")]
    UnsupportedFormat(Foreign),
    /// A readable format in a form of it that isn't read, such as JPEG with arithmetic coding.
    #[error("{format} with {feature} is not supported")]
    UnsupportedFeature {
        /// The format.
        format: Format,
        /// What there is in it, to follow "with".
        feature: &'static str,
    },
    /// The bytes begin like no format that is known.
    #[error("this is not an image")]
    NotAnImage,
    /// The file ends too early, or contradicts itself or its format.
    #[error("this {format} is broken: {reason}")]
    Broken {
        /// What it says that it is.
        format: Format,
        /// What is wrong, as far as it is known.
        reason: String,
    },
    /// The file is longer than allowed.
    #[error("the file has {bytes} bytes, and {limit} are allowed")]
    FileTooLarge {
        /// Its length.
        bytes: u64,
        /// The longest that is allowed.
        limit: u64,
    },
    /// The picture has more pixels than allowed, all of its frames together.
    #[error("the picture has {pixels} pixels in all, and {limit} are allowed")]
    TooManyPixels {
        /// Its pixels.
        pixels: u64,
        /// The most that are allowed.
        limit: u64,
    },
    /// Its prints would take more memory than allowed. Said before any of it is taken.
    #[error("the picture needs {needed} bytes of memory, and {limit} are allowed")]
    TooMuchMemory {
        /// What it would take.
        needed: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// A print could not be written; not the file's fault.
    #[error("a print could not be written: {0}")]
    Encoder(String),
}

impl Error {
    /// A file that isn't what its first bytes promise.
    pub(crate) fn broken(format: Format, reason: impl ToString) -> Self {
        Self::Broken {
            format,
            reason: reason.to_string(),
        }
    }
}

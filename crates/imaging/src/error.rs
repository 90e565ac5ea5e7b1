//! The crate's error type.

use crate::format::{Format, UnsupportedFormat};

/// Reason why an image couldn't be processed. The messages are written for the owner of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The format is recognised but not supported.
    #[error("{0} is not supported yet")]
    UnsupportedFormat(UnsupportedFormat),
    /// The format is supported, but not this feature of it, such as arithmetic coding in JPEG.
    #[error("{format} with {feature} is not supported")]
    UnsupportedFeature {
        /// Format of the file.
        format: Format,
        /// The feature, phrased to follow "with".
        feature: &'static str,
    },
    /// The content doesn't start like any known image format.
    #[error("this is not an image")]
    NotAnImage,
    /// The file is truncated, or violates its format.
    #[error("this {format} is broken: {reason}")]
    Broken {
        /// Format detected from the first bytes.
        format: Format,
        /// Description of the first defect that was found.
        reason: String,
    },
    /// The file is longer than the limit.
    #[error("the file has {bytes} bytes, more than the limit of {limit}")]
    FileTooLarge {
        /// Length of the file in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The image has more pixels than the limit, summed over all frames.
    #[error("the image has {pixels} pixels in all frames, more than the limit of {limit}")]
    TooManyPixels {
        /// Number of pixels.
        pixels: u64,
        /// The limit in pixels.
        limit: u64,
    },
    /// Processing would need more memory than the limit. Detected before the memory is allocated.
    #[error("processing the image needs {needed} bytes of memory, more than the limit of {limit}")]
    TooMuchMemory {
        /// Estimated memory in bytes.
        needed: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Encoding or resizing failed. Not the file's fault.
    #[error("encoding a variant failed: {0}")]
    Encoder(String),
}

impl Error {
    /// A file that violates its format.
    pub(crate) fn broken(format: Format, reason: impl ToString) -> Self {
        Self::Broken {
            format,
            reason: reason.to_string(),
        }
    }
}

//! What becomes of a job: prints that are stored, a failure that is recorded, or nothing yet.

use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::Prints;
use crate::tasks::Claim;

/// Why there are no prints.
#[derive(Debug)]
pub(crate) enum Interruption {
    /// There will be none: trying again gives the same.
    Failed(Failure),
    /// Not now; the reason is for the log.
    Postponed(String),
}

/// A failure, as it is recorded and clients read it: a problem document (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(Value);

impl Failure {
    /// What a step said, in its own words.
    pub(crate) fn told(document: Value) -> Self {
        Self(document)
    }

    fn new(name: &str, title: &str, status: u16, detail: &str) -> Self {
        Self(json!({
            "type": format!("urn:tirage:problem:{name}"),
            "title": title,
            "status": status,
            "detail": detail,
        }))
    }

    /// The object isn't there any more.
    pub(crate) fn original_missing() -> Self {
        Self::new(
            "original-missing",
            "Original missing",
            410,
            "The uploaded file is not in storage any more.",
        )
    }

    /// The step gave no answer in its time.
    pub(crate) fn too_slow() -> Self {
        Self::new(
            "step-timeout",
            "Took too long",
            504,
            "This file takes longer than a file may take.",
        )
    }

    /// The step died of the file.
    pub(crate) fn crashed() -> Self {
        Self::new(
            "step-crashed",
            "Could not be processed",
            502,
            "The step broke off while it worked on this file, or it needed more memory than it may have.",
        )
    }

    /// The step is given fewer bytes than there are.
    pub(crate) fn too_large() -> Self {
        Self::new(
            "body-too-large",
            "File too large",
            413,
            "The file has more bytes than the step takes.",
        )
    }

    /// The step answered with something that makes no sense.
    pub(crate) fn bad_answer(reason: &str) -> Self {
        eprintln!("the step's answer can't be used: {reason}");
        Self::new(
            "step-answer",
            "Could not be processed",
            502,
            "The step's answer could not be used.",
        )
    }

    /// The document.
    pub(crate) fn document(&self) -> String {
        self.0.to_string()
    }
}

/// What was stored, as it is committed.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The media type that the bytes are of.
    pub(crate) content_type: String,
    /// Of the original, in hexadecimal.
    pub(crate) sha256: String,
    pub(crate) metadata: Value,
    pub(crate) position: Option<Value>,
    pub(crate) variants: Vec<StoredVariant>,
}

/// A print that is stored: a row of `variant`.
#[derive(Debug, Serialize)]
pub(crate) struct StoredVariant {
    name: String,
    object: String,
    content_type: String,
    width: u32,
    height: u32,
    size_bytes: usize,
    sha256: String,
}

impl Stored {
    /// Prints that are stored under a claim.
    pub(crate) fn new(claim: &Claim, prints: Prints) -> Self {
        let variants = prints.variants.into_iter().map(|print| StoredVariant {
            object: claim.object(&print.name),
            name: print.name,
            content_type: print.content_type,
            width: print.width,
            height: print.height,
            size_bytes: print.bytes.len(),
            sha256: print.sha256,
        });
        Self {
            content_type: prints.content_type,
            sha256: prints.sha256,
            metadata: prints.metadata,
            position: prints.position,
            variants: variants.collect(),
        }
    }

    /// The last parts of the keys.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &str> {
        self.variants.iter().map(|variant| variant.object.as_str())
    }
}

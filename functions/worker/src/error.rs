//! Errors of a job: the shape of [`tirage_guest::Error`], and one more, the failure of a file.

use serde_json::Value;
use tirage_guest::{Service, store};
use tirage_problem::{Kind, Problem};

/// Error of a job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The file can't be processed, and a retry gives the same: recorded on the task, the message is done.
    #[error("the file failed: {}", .0.0)]
    Failed(Failure),
    /// Any other error: the task is released, and the queue delivers the message again.
    #[error(transparent)]
    Other(#[from] tirage_guest::Error),
}

/// Failure of a file, recorded on its task and shown to clients: a problem document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(Value);

impl Error {
    /// The step is unreachable or at fault, so the task is released.
    pub(crate) fn step_unavailable(reason: impl std::fmt::Display) -> Self {
        tirage_guest::Error::unavailable(Service::Step, reason).into()
    }
}

/// Every error of the store counts as temporary. A refusal usually means a setting that is being changed.
impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        tirage_guest::Error::unavailable(Service::ObjectStore, error).into()
    }
}

impl From<tirage_sqlhttp::Error> for Error {
    fn from(error: tirage_sqlhttp::Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Failure {
    /// A problem document of the step.
    pub(crate) fn reported(document: Value) -> Self {
        Self(document)
    }

    /// The original is not in the object store.
    pub(crate) fn original_missing() -> Self {
        Self::new(
            Kind::ORIGINAL_MISSING,
            "The uploaded file is not in storage any more.",
        )
    }

    /// The step exceeded its time limit.
    pub(crate) fn timeout() -> Self {
        Self::new(
            Kind::STEP_TIMEOUT,
            "This file takes longer than a file may take.",
        )
    }

    /// The step crashed on this file.
    pub(crate) fn crashed() -> Self {
        Self::new(
            Kind::STEP_CRASHED,
            "The step broke off while it worked on this file, or it needed more memory than it may have.",
        )
    }

    /// The file exceeds the body limit in front of the step.
    pub(crate) fn too_large() -> Self {
        Self::new(
            Kind::BODY_TOO_LARGE,
            "The file has more bytes than the step takes.",
        )
    }

    /// The output of the step is invalid. Logs the reason.
    pub(crate) fn invalid_output(reason: impl std::fmt::Display) -> Self {
        eprintln!("invalid output of the step: {reason}");
        Self::new(Kind::STEP_OUTPUT, "The step's output could not be used.")
    }

    /// The document as JSON text.
    pub(crate) fn document(&self) -> String {
        self.0.to_string()
    }

    fn new(kind: Kind, detail: &'static str) -> Self {
        Self(Problem::new(kind).detail(detail).to_document())
    }
}

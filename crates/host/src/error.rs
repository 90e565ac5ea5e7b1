//! What can go wrong between a request and its answer, one variant for each status.

/// A component did not answer. The caller makes the problem document; none of these says anything
/// about the guest's inside.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Its concurrency limit was reached and stayed so (503).
    #[error("too many requests in flight")]
    TooBusy,
    /// The request's body exceeds the component's limit (413).
    #[error("the request's body exceeds {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// It trapped, or its instance was lost to another request's trap (502).
    #[error("the component failed")]
    Trapped,
    /// It gave no answer in time (504).
    #[error("the component did not answer in time")]
    DeadlineExceeded,
    /// It was refused the memory that it wanted, and died of that (507).
    #[error("the component ran out of memory")]
    OutOfMemory,
    /// It answered with an error instead of a response, or could not be started (502).
    #[error("the component could not answer: {0}")]
    Failed(String),
    /// There is none of that name, or this mode leaves it out (404).
    #[error("no component {0:?}")]
    NoSuchComponent(String),
}

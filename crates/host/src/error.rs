//! Errors of calls to components, one variant for each HTTP status and cause.

/// A component returned no response. The router converts this into a problem document, which contains
/// no details about the guest.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The concurrency limit was reached during the whole queue timeout (503).
    #[error("too many requests in flight")]
    TooBusy,
    /// The request's body exceeds the component's limit (413).
    #[error("the request body exceeds the limit of {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The guest trapped, while it served this or another request of its instance (502).
    #[error("the component trapped")]
    Trapped,
    /// The deadline passed before the head of the response (504).
    #[error("the component exceeded its deadline")]
    DeadlineExceeded,
    /// The guest trapped after an allocation beyond its memory limit (507).
    #[error("the component ran out of memory")]
    OutOfMemory,
    /// The guest returned an error instead of a response, or can't be instantiated (502).
    #[error("the component failed: {0}")]
    Failed(String),
    /// No component has that id in the current mode (404).
    #[error("unknown component {0:?}")]
    NoSuchComponent(String),
}

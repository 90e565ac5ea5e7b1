//! What a request is refused with: SQS's own errors, by the names that its clients know.

use http::StatusCode;

/// A refusal, as the client gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A parameter's value that isn't allowed.
    pub(super) fn value(parameter: &str, reason: &str) -> Self {
        Self::new(
            Code::InvalidParameterValue,
            format!("the value of {parameter} is invalid: {reason}"),
        )
    }

    /// What Amazon has and Scaleway hasn't.
    pub(super) fn unsupported(what: &str) -> Self {
        Self::new(
            Code::UnsupportedOperation,
            format!("{what} is not supported by Scaleway Queues, so not here either"),
        )
    }
}

/// The kinds of refusal. The names are those of the JSON protocol's shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    IncompleteSignature,
    InternalFailure,
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidBatchEntryId,
    InvalidClientTokenId,
    InvalidMessageContents,
    InvalidParameterValue,
    MessageNotInflight,
    MissingAuthenticationToken,
    MissingParameter,
    QueueDoesNotExist,
    QueueNameExists,
    ReceiptHandleIsInvalid,
    RequestTooLarge,
    SerializationException,
    SignatureDoesNotMatch,
    TooManyEntriesInBatchRequest,
    UnknownOperationException,
    UnsupportedOperation,
}

impl Code {
    /// The shape's name in the JSON protocol (`__type`).
    pub(super) fn shape(self) -> String {
        format!("{self:?}")
    }

    /// The code of the Query protocol, which JSON's clients get too, in `x-amzn-query-error`
    /// (Amazon's SQS API reference, "Errors" of each action).
    pub(super) fn query(self) -> String {
        match self {
            Self::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
            Self::QueueNameExists => "QueueAlreadyExists".to_owned(),
            Self::UnknownOperationException => "InvalidAction".to_owned(),
            Self::BatchEntryIdsNotDistinct
            | Self::BatchRequestTooLong
            | Self::EmptyBatchRequest
            | Self::InvalidBatchEntryId
            | Self::MessageNotInflight
            | Self::TooManyEntriesInBatchRequest
            | Self::UnsupportedOperation => format!("AWS.SimpleQueueService.{self:?}"),
            _ => self.shape(),
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::InternalFailure => StatusCode::INTERNAL_SERVER_ERROR,
            Self::IncompleteSignature
            | Self::InvalidClientTokenId
            | Self::MissingAuthenticationToken
            | Self::SignatureDoesNotMatch => StatusCode::FORBIDDEN,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Who is to blame, as SQS calls it.
    pub(super) fn blame(self) -> &'static str {
        match self.is_senders() {
            true => "Sender",
            false => "Receiver",
        }
    }

    /// Whether the sender is to blame.
    pub(super) fn is_senders(self) -> bool {
        self != Self::InternalFailure
    }
}

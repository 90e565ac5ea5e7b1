//! SQS's errors, by the names that its clients know.

use http::StatusCode;

/// An error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) code: Code,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A parameter with an invalid value.
    pub(super) fn parameter(name: &str, reason: &str) -> Self {
        let message = format!("invalid {name}: {reason}");
        Self::new(Code::InvalidParameterValue, message)
    }

    /// A failure of the message store. The log has the details.
    pub(super) fn store(error: impl Into<redb::Error>) -> Self {
        tracing::error!("cannot write messages: {}", error.into());
        Self::unwritable()
    }

    /// An action after such a failure.
    pub(super) fn unwritable() -> Self {
        Self::new(Code::InternalFailure, "messages cannot be written")
    }
}

/// Error codes. Names are those of the JSON protocol's shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    IncompleteSignature,
    InternalFailure,
    InvalidClientTokenId,
    InvalidMessageContents,
    InvalidParameterValue,
    MessageNotInflight,
    MissingAuthenticationToken,
    MissingParameter,
    QueueDoesNotExist,
    ReceiptHandleIsInvalid,
    RequestTooLarge,
    SerializationException,
    SignatureDoesNotMatch,
    UnsupportedOperation,
}

impl Code {
    /// Value of `__type` in the response.
    pub(super) fn shape(self) -> String {
        format!("com.amazonaws.sqs#{self:?}")
    }

    /// Value of `x-amzn-query-error`, from which SDKs take the error's code (Amazon's SQS API
    /// reference, "Errors" of each action).
    pub(super) fn query_error(self) -> String {
        let code = match self {
            Self::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
            Self::MessageNotInflight | Self::UnsupportedOperation => {
                format!("AWS.SimpleQueueService.{self:?}")
            }
            _ => format!("{self:?}"),
        };
        let fault = match self {
            Self::InternalFailure => "Receiver",
            _ => "Sender",
        };
        format!("{code};{fault}")
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
}

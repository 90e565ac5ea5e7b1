//! The transport of components: `wasi:http/client@0.3.0`, through the Spin SDK.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use spin_sdk::http::FullBody;
use spin_sdk::wasip3::http::types::ErrorCode;

use crate::transport::{Transport, TransportError};

/// Sends requests through the host.
#[derive(Clone, Copy, Debug)]
pub struct Wasi {
    /// Largest response that is collected, in bytes. Default: 10 MiB, which is Neon's own limit.
    pub max_response_bytes: usize,
}

impl Default for Wasi {
    fn default() -> Self {
        Self {
            max_response_bytes: 10 << 20,
        }
    }
}

impl Transport for Wasi {
    async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let response = spin_sdk::http::send(request.map(FullBody::new))
            .await
            .map_err(|code| self.failure(code))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.max_response_bytes)
            .collect()
            .await
            .map_err(|error| match error.downcast::<ErrorCode>() {
                Ok(code) => self.failure(*code),
                Err(error) if error.is::<LengthLimitError>() => TransportError::ResponseTooLarge {
                    limit: self.max_response_bytes,
                },
                Err(error) => TransportError::Broken(error.to_string()),
            })?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        spin_sdk::time::sleep(duration)
    }
}

impl Wasi {
    fn failure(&self, code: ErrorCode) -> TransportError {
        match code {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
                TransportError::Denied(format!("{code:?}"))
            }
            ErrorCode::DnsTimeout
            | ErrorCode::DnsError(_)
            | ErrorCode::DestinationNotFound
            | ErrorCode::DestinationUnavailable
            | ErrorCode::DestinationIpUnroutable
            | ErrorCode::ConnectionRefused
            | ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionLimitReached
            | ErrorCode::TlsProtocolError
            | ErrorCode::TlsCertificateError
            | ErrorCode::TlsAlertReceived(_) => TransportError::Unreachable(format!("{code:?}")),
            ErrorCode::ConnectionReadTimeout
            | ErrorCode::ConnectionWriteTimeout
            | ErrorCode::HttpResponseTimeout => TransportError::Timeout,
            // The host's own limit may be lower than this transport's.
            ErrorCode::HttpResponseBodySize(limit) => TransportError::ResponseTooLarge {
                limit: limit
                    .and_then(|limit| usize::try_from(limit).ok())
                    .unwrap_or(self.max_response_bytes),
            },
            other => TransportError::Broken(format!("{other:?}")),
        }
    }
}

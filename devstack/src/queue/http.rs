//! SQS's JSON protocol over HTTP: checks the signature, runs the action, writes the response.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tirage_sigv4::{Refusal, Secret, Service as SignedService, verify};
use uuid::Uuid;

use super::actions;
use super::error::{ApiError, Code};
use super::server::REGION;
use super::service::Service;
use crate::AccessKey;

/// Upper bound on the bytes of a request body: a message of 256 KiB in which every byte is escaped
/// (`\u0001`), and the other fields.
const MAX_BODY: usize = 2 << 20;

pub(super) struct Handler {
    pub(super) service: Arc<Service>,
    /// Address of the server, without a slash at the end.
    pub(super) endpoint: String,
    pub(super) access_key: AccessKey,
}

impl Handler {
    pub(super) async fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let result = self.run(&head, body).await;
        if let Err(error) = &result {
            tracing::debug!(code = ?error.code, message = error.message, "request refused");
        }
        Ok(response(result))
    }

    async fn run(&self, head: &Parts, body: Incoming) -> Result<Value, ApiError> {
        let body = read(body).await?;
        self.check_signature(head, &body)?;
        let target = head.headers.get("x-amz-target");
        let action = target
            .and_then(|target| target.to_str().ok()?.strip_prefix("AmazonSQS."))
            .filter(|_| head.method == Method::POST)
            .ok_or_else(|| {
                let message = "requests use SQS's JSON protocol: POST with the header \
                    X-Amz-Target: AmazonSQS.<action>";
                ApiError::new(Code::UnsupportedOperation, message)
            })?;
        actions::run(&self.service, &self.endpoint, action, &body).await
    }

    fn check_signature(&self, head: &Parts, body: &[u8]) -> Result<(), ApiError> {
        let digest = Sha256::digest(body).into();
        let key = &self.access_key;
        let secret =
            |id: &str| (id == key.access_key_id).then(|| Secret::new(&*key.secret_access_key));
        let now = Timestamp::now();
        match verify(head, digest, REGION, &SignedService::SQS, secret, now) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(ApiError::new(code_of(refusal), refusal.to_string())),
        }
    }
}

fn code_of(refusal: Refusal) -> Code {
    match refusal {
        Refusal::NotSigned => Code::MissingAuthenticationToken,
        Refusal::UnknownKey => Code::InvalidClientTokenId,
        Refusal::Malformed(_) => Code::IncompleteSignature,
        _ => Code::SignatureDoesNotMatch,
    }
}

async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            Code::RequestTooLarge,
            format!("a request has at most {MAX_BODY} bytes"),
        )),
        // The client has disconnected.
        Err(error) => Err(ApiError::new(
            Code::SerializationException,
            error.to_string(),
        )),
    }
}

fn response(result: Result<Value, ApiError>) -> Response<Full<Bytes>> {
    let (status, output, query_error) = match result {
        Ok(output) => (StatusCode::OK, output, None),
        Err(ApiError { code, message }) => {
            let output = json!({ "__type": code.shape(), "message": message });
            (code.status(), output, Some(code.query_error()))
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(output.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    headers.insert(CONTENT_TYPE, json);
    let id = Uuid::new_v4().to_string();
    for (name, value) in [
        ("x-amzn-requestid", Some(id)),
        ("x-amzn-query-error", query_error),
    ] {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    response
}

//! From a request to its answer: who asks, what for, and in which words the result is told.
//!
//! Clients speak Amazon's JSON protocol (`X-Amz-Target: AmazonSQS.<Action>`, all current SDKs).

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
use tirage_sigv4::{Refusal, Secret, Service, verify};
use uuid::Uuid;

use super::fault::{Code, Fault};
use super::folder::Keys;
use super::operations::{Caller, perform};
use super::service::Service as Queues;

/// Bytes of a request's body: a batch of 256 KiB, each byte of it escaped (`\u0001`), and some room.
const MAX_BODY: usize = 2 << 20;

/// The region that requests have to be signed for. Any would do; this is where examples say they are.
pub const REGION: &str = "fr-par";

pub(super) struct Answers {
    queues: Arc<Queues>,
    base_url: String,
    keys: Keys,
}

impl Answers {
    pub(super) fn new(queues: Arc<Queues>, base_url: String, keys: Keys) -> Self {
        Self {
            queues,
            base_url,
            keys,
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let id = Uuid::new_v4().to_string();
        let result = self.perform(request).await;
        let mut response = match result {
            Ok(output) => respond(StatusCode::OK, &output),
            Err(fault) => {
                tracing::debug!(code = ?fault.code, message = fault.message, "refused");
                refuse(&fault)
            }
        };
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        response
    }

    async fn perform(&self, request: Request<Incoming>) -> Result<Value, Fault> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return Err(Fault::new(
                Code::UnknownOperationException,
                "requests are sent with POST",
            ));
        }
        let body = read(body).await?;
        self.check_signature(&head, &body)?;
        let action = head
            .headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok()?.strip_prefix("AmazonSQS."))
            .ok_or_else(|| {
                Fault::new(
                    Code::UnknownOperationException,
                    "X-Amz-Target must be AmazonSQS.<Action>",
                )
            })?;
        let input: Value = serde_json::from_slice(&body)
            .map_err(|error| Fault::new(Code::SerializationException, error.to_string()))?;
        let caller = Caller {
            base_url: &self.base_url,
            access_key_id: &self.keys.access_key_id,
        };
        perform(&self.queues, &caller, action, input).await
    }

    fn check_signature(&self, head: &Parts, body: &[u8]) -> Result<(), Fault> {
        let secret_of = |id: &str| {
            (id == self.keys.access_key_id).then(|| Secret::new(&*self.keys.secret_access_key))
        };
        let digest = Sha256::digest(body).into();
        let service = Service::SQS;
        verify(head, digest, REGION, &service, secret_of, Timestamp::now())
            .map(|_| ())
            .map_err(refusal)
    }
}

fn refusal(why: Refusal) -> Fault {
    let code = match why {
        Refusal::NotSigned => Code::MissingAuthenticationToken,
        Refusal::UnknownKey => Code::InvalidClientTokenId,
        Refusal::Malformed(_) => Code::IncompleteSignature,
        _ => Code::SignatureDoesNotMatch,
    };
    Fault::new(code, why.to_string())
}

async fn read(body: Incoming) -> Result<Bytes, Fault> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::new(
            Code::RequestTooLarge,
            format!("a request has {MAX_BODY} bytes at most"),
        )),
        // Nobody is there to read this.
        Err(error) => Err(Fault::new(Code::SerializationException, error.to_string())),
    }
}

fn refuse(fault: &Fault) -> Response<Full<Bytes>> {
    let output = json!({
        "__type": format!("com.amazonaws.sqs#{}", fault.code.shape()),
        "message": fault.message,
    });
    let mut response = respond(fault.code.status(), &output);
    let blame = match fault.code.is_senders() {
        true => "Sender",
        false => "Receiver",
    };
    if let Ok(value) = HeaderValue::from_str(&format!("{};{blame}", fault.code.query())) {
        response.headers_mut().insert("x-amzn-query-error", value);
    }
    response
}

fn respond(status: StatusCode, output: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(output.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-amz-json-1.0"),
    );
    response
}

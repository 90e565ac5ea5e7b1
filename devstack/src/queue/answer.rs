//! From a request to its answer: who asks, what for, and in which words the result is told.
//!
//! Clients speak Amazon's JSON protocol (`X-Amz-Target: AmazonSQS.<Action>`, all current SDKs) or
//! the older Query protocol (a form, answered in XML).

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tirage_sigv4::{Refusal, Secret, verify};
use uuid::Uuid;

use super::fault::{Code, Fault};
use super::folder::Keys;
use super::operations::{Caller, perform};
use super::query;
use super::service::Service;

/// Bytes of a request's body: a batch of 256 KiB, each byte of it escaped (`\u0001`), and some
/// room.
const MAX_BODY: usize = 2 << 20;

/// The region that requests have to be signed for. Any would do; this is where examples say they
/// are.
pub const REGION: &str = "fr-par";

const TARGET: &str = "x-amz-target";

pub(super) struct Answers {
    service: Arc<Service>,
    base_url: String,
    keys: Keys,
}

impl Answers {
    pub(super) fn new(service: Arc<Service>, base_url: String, keys: Keys) -> Self {
        Self {
            service,
            base_url,
            keys,
        }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let id = Uuid::new_v4().to_string();
        let (head, body) = request.into_parts();
        let protocol = Protocol::of(&head.headers);
        let result = self.perform(protocol, &head, body).await;
        if let Err(fault) = &result {
            tracing::debug!(code = ?fault.code, message = fault.message, "refused");
        }
        protocol.respond(result, &id)
    }

    /// The action's name, and its output in the JSON protocol's form.
    async fn perform(
        &self,
        protocol: Protocol,
        head: &Parts,
        body: Incoming,
    ) -> Result<(String, Value), Fault> {
        if head.method != Method::POST {
            let text = "requests are sent with POST";
            return Err(Fault::new(Code::UnknownOperationException, text));
        }
        let body = read(body).await?;
        self.check_signature(head, &body)?;
        let (action, input) = protocol.input(head, &body)?;
        let caller = Caller {
            base_url: &self.base_url,
            access_key_id: &self.keys.access_key_id,
        };
        let output = perform(&self.service, &caller, &action, input).await?;
        Ok((action, output))
    }

    fn check_signature(&self, head: &Parts, body: &[u8]) -> Result<(), Fault> {
        let secret_of = |id: &str| {
            (id == self.keys.access_key_id).then(|| Secret::new(&*self.keys.secret_access_key))
        };
        let digest = Sha256::digest(body).into();
        let now = Timestamp::now();
        verify(
            head,
            digest,
            REGION,
            &tirage_sigv4::Service::SQS,
            secret_of,
            now,
        )
        .map(|_| ())
        .map_err(refusal)
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Json,
    Query,
}

impl Protocol {
    fn of(headers: &HeaderMap) -> Self {
        match headers.contains_key(TARGET) {
            true => Self::Json,
            false => Self::Query,
        }
    }

    fn input(self, head: &Parts, body: &[u8]) -> Result<(String, Value), Fault> {
        match self {
            Self::Query => query::input(head.uri.path(), body),
            Self::Json => {
                let target = head.headers.get(TARGET);
                let action = target
                    .and_then(|target| target.to_str().ok()?.strip_prefix("AmazonSQS."))
                    .ok_or_else(|| {
                        let text = "X-Amz-Target must be AmazonSQS.<Action>";
                        Fault::new(Code::UnknownOperationException, text)
                    })?;
                let input = serde_json::from_slice(body)
                    .map_err(|error| Fault::new(Code::SerializationException, error.to_string()))?;
                Ok((action.to_owned(), input))
            }
        }
    }

    fn respond(self, result: Result<(String, Value), Fault>, id: &str) -> Response<Full<Bytes>> {
        let status = match &result {
            Ok(_) => StatusCode::OK,
            Err(fault) => fault.code.status(),
        };
        let (content_type, body) = match (self, &result) {
            (Self::Query, Ok((action, output))) => ("text/xml", query::output(action, output, id)),
            (Self::Query, Err(fault)) => ("text/xml", query::refusal(fault, id)),
            (Self::Json, Ok((_, output))) => ("application/x-amz-json-1.0", output.to_string()),
            (Self::Json, Err(fault)) => {
                let output = json!({
                    "__type": format!("com.amazonaws.sqs#{}", fault.code.shape()),
                    "message": fault.message,
                });
                ("application/x-amz-json-1.0", output.to_string())
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert("x-amzn-requestid", id);
        }
        if let (Self::Json, Err(fault)) = (self, &result)
            && let Ok(code) =
                HeaderValue::from_str(&format!("{};{}", fault.code.query(), fault.code.blame()))
        {
            headers.insert("x-amzn-query-error", code);
        }
        response
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

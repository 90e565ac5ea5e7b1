//! Sends the body of the request back, chunk by chunk. Both directions are open at the same time, and at
//! most one chunk is buffered.

use spin_sdk::http::Request;
use spin_sdk::http::{IntoResponse, Response};
use spin_sdk::http_service;

#[http_service]
async fn echo(request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let mut response = Response::new(body);
    if let Some(kind) = parts.headers.get("content-type") {
        response.headers_mut().insert("content-type", kind.clone());
    }
    response
}

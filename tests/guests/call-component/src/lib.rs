//! Sends the body of its request on to the component `echo` and streams that one's answer back:
//! two components at work on one body, neither of which holds it.

use spin_sdk::http::{Request, Response, send};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types::ErrorCode;

const ECHO: &str = "http://echo.spin.internal/";

#[http_service]
async fn call_component(request: Request) -> Result<Response, ErrorCode> {
    let (mut parts, body) = request.into_parts();
    parts.uri = ECHO.parse().map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    // The host that the caller named is this component's, not echo's.
    parts.headers.remove("host");
    send(Request::from_parts(parts, body)).await
}

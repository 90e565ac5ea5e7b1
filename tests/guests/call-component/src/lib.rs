//! Forwards the request to the component `echo` and streams the response back. Neither component
//! collects the body.

use spin_sdk::http::{Request, Response, send};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types::ErrorCode;

const ECHO: &str = "http://echo.spin.internal/";

#[http_service]
async fn call_component(request: Request) -> Result<Response, ErrorCode> {
    let (mut parts, body) = request.into_parts();
    parts.uri = ECHO.parse().map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    // The caller's Host header names this component, not echo.
    parts.headers.remove("host");
    send(Request::from_parts(parts, body)).await
}

//! Responds with the head of the request that the component receives, as JSON: method, URI and the
//! headers in order, as pairs of name and value.

use serde_json::json;
use spin_sdk::http::Request;
use spin_sdk::http_service;

#[http_service]
async fn headers(request: Request) -> String {
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    json!({
        "method": request.method().as_str(),
        "uri": request.uri().to_string(),
        "headers": headers,
    })
    .to_string()
}

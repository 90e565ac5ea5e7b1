//! Fetches the URL in `?url=` and answers with what came of it, as JSON: `{"status", "body"}`, or
//! `{"error"}` with the name that WASI has for the failure.

use guest_support::parameter;
use serde_json::{Value, json};
use spin_sdk::http::body::IncomingBodyExt;
use spin_sdk::http::{Request, get};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types::ErrorCode;

#[http_service]
async fn call_out(request: Request) -> String {
    let url = parameter(&request, "url").unwrap_or_default();
    fetch(&url)
        .await
        .unwrap_or_else(|error| json!({ "error": format!("{error:?}") }))
        .to_string()
}

async fn fetch(url: &str) -> Result<Value, ErrorCode> {
    let response = get(url).await?;
    let status = response.status().as_u16();
    let body = response.into_body().bytes().await?;
    Ok(json!({ "status": status, "body": String::from_utf8_lossy(&body) }))
}

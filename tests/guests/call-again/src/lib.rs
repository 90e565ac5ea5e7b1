//! Calls `?url=` with its own query, which may be this component itself. Responds with a dot and the
//! body of the response, or with the name of the error.

use guest_support::parameter;
use spin_sdk::http::body::IncomingBodyExt;
use spin_sdk::http::{Request, get};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types::ErrorCode;

#[http_service]
async fn call_again(request: Request) -> String {
    call(&request)
        .await
        .unwrap_or_else(|error| format!("{error:?}"))
}

async fn call(request: &Request) -> Result<String, ErrorCode> {
    let url = parameter(request, "url").unwrap_or_default();
    let query = request.uri().query().unwrap_or_default();
    let response = get(format!("{url}?{query}")).await?;
    let body = response.into_body().bytes().await?;
    Ok(format!(".{}", String::from_utf8_lossy(&body)))
}

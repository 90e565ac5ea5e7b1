//! Sends the request that its query describes and responds with the result as JSON: `{"status",
//! "headers", "body"}`, `{"error"}` with WASI's name of the failure, or `{"refused"}` with the part that
//! the host's types reject.
//!
//! It calls the host directly, so that no library corrects the request: `scheme`, `authority` and `path`
//! (by default those of `url`), `method` and `header=name:value` (repeatable) are passed unchanged.
//! `connect_ms`, `first_byte_ms` and `between_bytes_ms` set the guest's own timeouts.

use guest_support::{parameter, parameters};
use http::Uri;
use serde_json::{Value, json};
use spin_sdk::http::Request;
use spin_sdk::http::body::IncomingBodyExt;
use spin_sdk::http_service;
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{self, ErrorCode, Fields, RequestOptions, Scheme};
use spin_sdk::wasip3::http_compat::http_from_wasi_response;
use spin_sdk::wasip3::wit_future;

#[http_service]
async fn call_out(request: Request) -> String {
    let outgoing = match describe(&request) {
        Ok(outgoing) => outgoing,
        Err(refused) => return json!({ "refused": refused }).to_string(),
    };
    fetch(outgoing)
        .await
        .unwrap_or_else(|error| json!({ "error": format!("{error:?}") }))
        .to_string()
}

/// Builds the request. The error names the part that the host rejects.
fn describe(query: &Request) -> Result<types::Request, String> {
    let uri: Option<Uri> = parameter(query, "url").and_then(|url| url.parse().ok());
    let part = |name: &str, of_uri: fn(&Uri) -> Option<String>| {
        parameter(query, name).or_else(|| uri.as_ref().and_then(of_uri))
    };
    let headers = Fields::new();
    for header in parameters(query, "header") {
        let (name, value) = header.split_once(':').ok_or("header")?;
        headers
            .append(name, value.as_bytes())
            .map_err(|error| format!("header: {error:?}"))?;
    }
    let (_, no_trailers) = wit_future::new(|| Ok(None));
    let (outgoing, _) = types::Request::new(headers, None, no_trailers, options(query));
    if let Some(method) = parameter(query, "method") {
        let method = http::Method::from_bytes(method.as_bytes()).map_err(|_| "method")?;
        outgoing.set_method(&method.into()).map_err(|()| "method")?;
    }
    let scheme = match part("scheme", |uri| uri.scheme_str().map(str::to_owned)).as_deref() {
        None => None,
        Some("http") => Some(Scheme::Http),
        Some("https") => Some(Scheme::Https),
        Some(other) => Some(Scheme::Other(other.to_owned())),
    };
    outgoing
        .set_scheme(scheme.as_ref())
        .map_err(|()| "scheme")?;
    let authority = part("authority", |uri| {
        uri.authority().map(|authority| authority.to_string())
    });
    outgoing
        .set_authority(authority.as_deref())
        .map_err(|()| "authority")?;
    let path = part("path", |uri| {
        uri.path_and_query().map(|path| path.to_string())
    });
    outgoing
        .set_path_with_query(path.as_deref())
        .map_err(|()| "path")?;
    Ok(outgoing)
}

fn options(query: &Request) -> Option<RequestOptions> {
    let nanoseconds = |name| {
        let milliseconds: u64 = parameter(query, name)?.parse().ok()?;
        Some(milliseconds * 1_000_000)
    };
    let options = RequestOptions::new();
    options
        .set_connect_timeout(nanoseconds("connect_ms"))
        .ok()?;
    options
        .set_first_byte_timeout(nanoseconds("first_byte_ms"))
        .ok()?;
    options
        .set_between_bytes_timeout(nanoseconds("between_bytes_ms"))
        .ok()?;
    Some(options)
}

async fn fetch(request: types::Request) -> Result<Value, ErrorCode> {
    let response = http_from_wasi_response(client::send(request).await?)?;
    let status = response.status().as_u16();
    let headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let body = response.into_body().bytes().await?;
    Ok(json!({
        "status": status,
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    }))
}

//! A step that returns the length and SHA-256 of its input.

use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use spin_sdk::http::{Json, Request};
use spin_sdk::{http_service, wasip3::http::types::ErrorCode};

#[http_service]
async fn checksum(request: Request) -> Result<Json<serde_json::Value>, ErrorCode> {
    let body = request.into_body().collect().await?.to_bytes();
    let sha256 = hex::encode(Sha256::digest(&body));
    Ok(Json(
        serde_json::json!({ "bytes": body.len(), "sha256": sha256 }),
    ))
}

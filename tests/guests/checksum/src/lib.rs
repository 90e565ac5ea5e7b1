//! A step: bytes in, how many they are and what they hash to out.

use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use spin_sdk::http::{Json, Request};
use spin_sdk::{http_service, wasip3::http::types::ErrorCode};

#[http_service]
async fn checksum(request: Request) -> Result<Json<serde_json::Value>, ErrorCode> {
    let body = request.into_body().collect().await?.to_bytes();
    let hash = Sha256::digest(&body);
    let sha256: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let answer = serde_json::json!({ "bytes": body.len(), "sha256": sha256 });
    Ok(Json(answer))
}

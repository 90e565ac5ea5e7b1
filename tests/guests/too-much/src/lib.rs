//! Imports outgoing HTTP. With a world that doesn't grant it (`step` or `site`), the router must refuse it
//! at start and name the import, even if no call is ever made.

use spin_sdk::http::{Request, Response, get};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types::ErrorCode;

#[http_service]
async fn too_much(_request: Request) -> Result<Response, ErrorCode> {
    get("http://example.com/").await
}

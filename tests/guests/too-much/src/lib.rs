//! Imports outgoing HTTP. Bound to a world that doesn't grant it (`step` or `site`), it must be
//! refused at start, with the import named, whether or not it would ever make the call.

use spin_sdk::http::{Request, Response, get};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types::ErrorCode;

#[http_service]
async fn too_much(_request: Request) -> Result<Response, ErrorCode> {
    get("http://example.com/").await
}

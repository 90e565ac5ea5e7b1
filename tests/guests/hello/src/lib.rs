//! Responds to every request with the same text: a minimal component.

use spin_sdk::http::Request;
use spin_sdk::http_service;

#[http_service]
async fn hello(_request: Request) -> &'static str {
    "Hello from a component\n"
}

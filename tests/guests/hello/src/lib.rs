//! Answers every request with the same words: the least a component can do.

use spin_sdk::http::Request;
use spin_sdk::http_service;

#[http_service]
async fn hello(_request: Request) -> &'static str {
    "Hello from a component\n"
}

//! Loops forever without yielding, and never responds.

use spin_sdk::http::Request;
use spin_sdk::http_service;

#[http_service]
async fn loop_forever(_request: Request) -> &'static str {
    let mut turns = 0u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

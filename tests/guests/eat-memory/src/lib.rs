//! Allocates and touches memory, a mebibyte at a time, until it gets no more and dies.

use spin_sdk::http::Request;
use spin_sdk::http_service;

#[http_service]
async fn eat_memory(_request: Request) -> &'static str {
    let mut eaten = Vec::new();
    loop {
        eaten.push(std::hint::black_box(vec![0xA5u8; 1 << 20]));
    }
}

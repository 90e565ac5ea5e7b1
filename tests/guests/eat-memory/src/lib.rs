//! Allocates and touches memory, 1 MiB at a time, until an allocation fails and it traps.

use spin_sdk::http::Request;
use spin_sdk::http_service;

#[http_service]
async fn eat_memory(_request: Request) -> &'static str {
    let mut eaten = Vec::new();
    loop {
        eaten.push(std::hint::black_box(vec![0xA5u8; 1 << 20]));
    }
}

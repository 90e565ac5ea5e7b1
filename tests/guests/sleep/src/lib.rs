//! Waits `?ms=` milliseconds (default 1000) on the asynchronous clock, then responds.

use std::time::Duration;

use guest_support::number;
use spin_sdk::http::Request;
use spin_sdk::http_service;

#[http_service]
async fn sleep(request: Request) -> &'static str {
    spin_sdk::time::sleep(Duration::from_millis(number(&request, "ms", 1000))).await;
    "slept\n"
}

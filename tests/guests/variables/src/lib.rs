//! Responds with the variable named by `?name=`, as JSON: `{"value"}`, or `{"error"}`.

use guest_support::parameter;
use serde_json::json;
use spin_sdk::http::Request;
use spin_sdk::{http_service, variables};

#[http_service]
async fn variable(request: Request) -> String {
    let name = parameter(&request, "name").unwrap_or_default();
    match variables::get(name).await {
        Ok(value) => json!({ "value": value }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
    .to_string()
}

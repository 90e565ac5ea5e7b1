//! Helpers of guests: the parameters of a request's query.

use std::str::FromStr;

use spin_sdk::http::Request;

/// Returns the first query parameter called `name`, decoded.
pub fn parameter(request: &Request, name: &str) -> Option<String> {
    parameters(request, name).next()
}

/// Returns all query parameters called `name`, decoded.
pub fn parameters(request: &Request, name: &str) -> impl Iterator<Item = String> {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .filter(move |(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Returns the first query parameter called `name` as a number, or `default` if it is missing or invalid.
pub fn number<T: FromStr>(request: &Request, name: &str, default: T) -> T {
    parameter(request, name)
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

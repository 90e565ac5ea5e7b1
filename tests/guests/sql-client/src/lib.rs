//! Runs the SQL client's test case that `?case=` names, and responds with `passed` or the expectation
//! that failed. The case `select` sends one statement and responds with its result.
//!
//! Parameters: `url` and `connection_string` of the database, `socket`: the URL of a gateway that checks
//! passwords, `unreachable`: a URL where no server listens.

use guest_support::parameter;
use spin_sdk::http::Request;
use spin_sdk::http_service;
use sql_cases::Place;
use tirage_sqlhttp::{Client, Endpoint, EndpointError, Statement, Wasi};

#[http_service]
async fn sql_client(request: Request) -> String {
    let place = match place(&request) {
        Ok(place) => place,
        Err(error) => return error.to_string(),
    };
    match parameter(&request, "case").unwrap_or_default().as_str() {
        "select" => select(place).await,
        case => match sql_cases::run(case, &place).await {
            Ok(()) => "passed".to_owned(),
            Err(error) => format!("{error:#}"),
        },
    }
}

fn place(request: &Request) -> Result<Place<Wasi>, EndpointError> {
    let text = |name| parameter(request, name).unwrap_or_default();
    let right = text("connection_string");
    let wrong = right.replace(sql_cases::PASSWORD, "wrong");
    Ok(Place {
        transport: |max_response_bytes| Wasi { max_response_bytes },
        endpoint: Endpoint::new(&text("url"), &right)?,
        wrong_password: Endpoint::new(&text("socket"), &wrong)?,
        unreachable: Endpoint::new(&text("unreachable"), &right)?,
    })
}

async fn select(place: Place<Wasi>) -> String {
    let client = Client::new((place.transport)(1000), place.endpoint);
    let result = client.query(Statement::new("select 1")).await;
    format!("{:?}", result.map(|rows| rows.len()))
}

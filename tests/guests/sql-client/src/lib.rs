//! Runs the case of the SQL client that `?case=` names, and answers `passed` or what isn't as it
//! should be. `url` and `connection_string` say where the database is, `socket` where a gateway with
//! passwords is, `nobody` where there is none. The case `policy` is for this side alone: it expects to
//! be refused.

use guest_support::parameter;
use spin_sdk::http::Request;
use spin_sdk::http_service;
use sql_cases::Place;
use tirage_sqlhttp::{Client, Endpoint, EndpointError, Error, Statement, Wasi};

#[http_service]
async fn sql_client(request: Request) -> String {
    let place = match place(&request) {
        Ok(place) => place,
        Err(error) => return error.to_string(),
    };
    match parameter(&request, "case").unwrap_or_default().as_str() {
        "policy" => policy(place).await,
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
        transport: |max_answer_bytes| Wasi { max_answer_bytes },
        endpoint: Endpoint::new(&text("url"), &right)?,
        wrong_password: Endpoint::new(&text("socket"), &wrong)?,
        nobody: Endpoint::new(&text("nobody"), &right)?,
    })
}

async fn policy(place: Place<Wasi>) -> String {
    let client = Client::new((place.transport)(1000), place.endpoint);
    match client.query(Statement::new("select 1")).await {
        Err(Error::Policy(reason)) => format!("refused: {reason}"),
        other => format!("{other:?}"),
    }
}

//! A guest book. `POST /entries` adds its body as an entry; `GET /admission` admits clients to the live
//! feed, for as many seconds as the table `admission_setting` says.

use http::StatusCode;
use http_body_util::BodyExt as _;
use spin_sdk::http::Request;
use spin_sdk::http_service;
use tirage_sqlhttp::{Client, Endpoint, Error, Statement, Wasi};

#[http_service]
async fn guestbook(request: Request) -> (StatusCode, String) {
    let response = match (request.method().as_str(), request.uri().path()) {
        ("POST", "/entries") => match request.into_body().collect().await {
            Ok(body) => sign(&String::from_utf8_lossy(&body.to_bytes())).await,
            Err(_) => Ok((StatusCode::BAD_REQUEST, String::new())),
        },
        ("GET", "/admission") => admit().await,
        _ => Ok((StatusCode::NOT_FOUND, String::new())),
    };
    response.unwrap_or_else(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

async fn sign(text: &str) -> Result<(StatusCode, String), Error> {
    let insert = "insert into entry (number, text) \
         select coalesce(max(number), 0) + 1, $1 from entry returning number";
    let rows = database()?.query(Statement::new(insert).bind(text)).await?;
    let number: i64 = rows.single()?.get("number")?;
    Ok((StatusCode::CREATED, number.to_string()))
}

async fn admit() -> Result<(StatusCode, String), Error> {
    let count = Statement::new("insert into admission default values");
    let setting = Statement::new(
        "select seconds < 0 as is_refused, \
           to_char(now() at time zone 'utc' + seconds * interval '1 second', \
             'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') as expires_at \
         from admission_setting",
    );
    let [_, rows] = database()?.batch([count, setting]).await?;
    let mut expires_at = None;
    if let Some(row) = rows.first() {
        if row.get("is_refused")? {
            return Ok((StatusCode::FORBIDDEN, String::new()));
        }
        expires_at = row.get::<Option<String>>("expires_at")?;
    }
    let admission = serde_json::json!({ "feed": "the book", "expires_at": expires_at });
    Ok((StatusCode::OK, admission.to_string()))
}

fn database() -> Result<Client<Wasi>, Error> {
    let endpoint = Endpoint::new(
        "http://sql.tirage.internal",
        "postgres://in.process/guestbook",
    )
    .map_err(|error| Error::Protocol(error.to_string()))?;
    Ok(Client::new(Wasi::default(), endpoint))
}

//! What the manifest tells this function: variables, each read when it is needed.

use std::collections::HashMap;
use std::fmt::Display;

use spin_sdk::variables;
use tirage_objects::Objects;
use tirage_problem::{Kind, Problem};
use tirage_s3::Bucket;
use tirage_sqlhttp::{Client, Endpoint, Wasi};

/// The variables that say where the bucket is, in the names that [`Bucket`] has for them.
const BUCKET: [(&str, &str); 6] = [
    ("S3_ENDPOINT", "s3_endpoint"),
    ("S3_REGION", "s3_region"),
    ("S3_BUCKET", "s3_bucket"),
    ("S3_ADDRESSING", "s3_addressing"),
    ("S3_ACCESS_KEY_ID", "s3_access_key_id"),
    ("S3_SECRET_ACCESS_KEY", "s3_secret_access_key"),
];

/// A variable that the manifest must give; it may be empty.
///
/// # Errors
/// 500 if it doesn't.
pub(crate) async fn variable(name: &str) -> Result<String, Problem> {
    variables::get(name).await.map_err(internal)
}

/// A variable that is a number of seconds.
///
/// # Errors
/// 500 if it is none.
pub(crate) async fn seconds(name: &str) -> Result<f64, Problem> {
    let value = variable(name).await?;
    value
        .parse()
        .map_err(|_| internal(format!("{name} is no number of seconds")))
}

/// The database that the variables name. Nothing is sent yet.
///
/// # Errors
/// 500 if they name nothing usable.
pub(crate) async fn database() -> Result<Client<Wasi>, Problem> {
    let url = variable("database_http_url").await?;
    let connection_string = variable("database_connection_string").await?;
    let endpoint = Endpoint::new(&url, &connection_string).map_err(internal)?;
    Ok(Client::new(Wasi::default(), endpoint))
}

/// The bucket that the variables name. Nothing is sent yet.
///
/// # Errors
/// 500 if they name nothing usable.
pub(crate) async fn objects() -> Result<Objects, Problem> {
    let mut values = HashMap::new();
    for (name, variable_name) in BUCKET {
        values.insert(name, variable(variable_name).await?);
    }
    Bucket::from_settings(|name| values.get(name).cloned())
        .map(Objects::new)
        .map_err(internal)
}

/// A fault that is ours: the log says which, the caller only that there is one.
pub(crate) fn internal(error: impl Display) -> Problem {
    eprintln!("internal error: {error}");
    Problem::new(Kind::INTERNAL)
}

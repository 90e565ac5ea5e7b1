//! What the manifest tells this function: variables, each read when it is needed.

use std::fmt::Display;
use std::str::FromStr;

use spin_sdk::variables;
use tirage_problem::{Kind, Problem};

/// A variable that the manifest must give.
///
/// # Errors
/// 500 if it doesn't.
pub(crate) async fn required(name: &str) -> Result<String, Problem> {
    variables::get(name).await.map_err(internal)
}

/// A variable that may be empty.
///
/// # Errors
/// 500 if the manifest doesn't have it at all.
pub(crate) async fn optional(name: &str) -> Result<Option<String>, Problem> {
    Ok(Some(required(name).await?).filter(|value| !value.is_empty()))
}

/// A variable as `T`.
///
/// # Errors
/// 500 if it is none; the log names the variable.
pub(crate) async fn parsed<T: FromStr>(name: &'static str) -> Result<T, Problem> {
    let value = required(name).await?;
    value
        .parse()
        .map_err(|_| internal(format!("{name} is not valid")))
}

/// A fault that is ours: the log says which, the client only that there is one.
pub(crate) fn internal(error: impl Display) -> Problem {
    eprintln!("internal error: {error}");
    Problem::new(Kind::INTERNAL)
}

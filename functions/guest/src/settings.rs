//! Settings: the variables that the manifest gives to a component. Each is read when it is needed.

use std::str::FromStr;

use spin_sdk::variables;

use crate::Error;

/// Reads a variable. The value may be empty.
///
/// # Errors
/// [`Error::Internal`] if the manifest doesn't give the variable to this component.
pub async fn variable(name: &str) -> Result<String, Error> {
    variables::get(name)
        .await
        .map_err(|error| Error::internal(format!("variable {name}: {error}")))
}

/// Reads a variable; `None` if it is empty, or if the manifest doesn't give it to this component.
///
/// # Errors
/// [`Error::Internal`] if the host fails.
pub async fn optional(name: &str) -> Result<Option<String>, Error> {
    match variables::get(name).await {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(variables::Error::Undefined(_)) => Ok(None),
        Err(error) => Err(Error::internal(format!("variable {name}: {error}"))),
    }
}

/// Reads and parses a variable.
///
/// # Errors
/// [`Error::Internal`] if the variable is missing or doesn't parse; its name is logged, its value is not.
pub async fn parsed<T: FromStr>(name: &str) -> Result<T, Error> {
    let value = variable(name).await?;
    value
        .parse()
        .map_err(|_| Error::internal(format!("variable {name}: invalid value")))
}

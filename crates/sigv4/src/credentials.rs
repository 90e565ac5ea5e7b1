//! Access keys.

use std::fmt;

/// An access key. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The public half, which is part of every signature.
    pub access_key_id: String,
    /// The secret half, known to the client and the server only.
    pub secret_access_key: Secret,
}

impl Credentials {
    /// Creates an access key.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: Secret::new(secret_access_key),
        }
    }
}

/// A secret string. `Debug` doesn't show it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a string.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the string itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let credentials = Credentials::new("AKID", "half-secret");
        let shown = format!("{credentials:?}");
        assert!(
            shown.contains("AKID") && !shown.contains("-secret"),
            "{shown}"
        );
    }
}

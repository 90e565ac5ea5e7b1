//! Who signs.

use std::fmt;

/// An access key. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The public half: it stands in every signature.
    pub access_key_id: String,
    /// The half that only the two ends know.
    pub secret_access_key: Secret,
    /// What comes with keys that are lent for a while (AWS STS), and must be sent along.
    pub session_token: Option<Secret>,
}

impl Credentials {
    /// A key that lasts until somebody revokes it.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: Secret::new(secret_access_key),
            session_token: None,
        }
    }
}

/// A text that nobody else may see: its `Debug` doesn't show it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever must use it.
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
    fn secrets_are_not_shown() {
        let mut credentials = Credentials::new("AKID", "half-secret");
        credentials.session_token = Some(Secret::new("token-secret"));
        let shown = format!("{credentials:?}");
        assert!(
            shown.contains("AKID") && !shown.contains("-secret"),
            "{shown}"
        );
    }
}

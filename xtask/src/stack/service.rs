//! What the devstack says of each service when it is ready, as settings.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::process::{ChildId, Supervisor};

/// A service: ours, or the one that a setting names.
pub(super) enum Service<T> {
    Started(T),
    /// The value of the setting that names it.
    Named(String),
}

/// A service that may not be there yet.
pub(super) enum Begun {
    Starting(ChildId),
    /// The value of the setting that names it.
    Named(String),
}

/// A service that the devstack has.
pub(super) trait Part: DeserializeOwned {
    /// The settings that say where it is.
    fn environment(&self) -> Vec<(&'static str, &str)>;
}

impl Begun {
    /// Waits until it is there.
    ///
    /// # Errors
    /// When it ends, takes too long, or says something else than was agreed; and
    /// [`crate::signals::Interrupted`].
    pub(super) fn ready<T: Part>(
        self,
        supervisor: &mut Supervisor,
        patience: Duration,
    ) -> Result<Service<T>> {
        let child = match self {
            Self::Starting(child) => child,
            Self::Named(value) => return Ok(Service::Named(value)),
        };
        let line = supervisor.first_line(child, patience)?;
        serde_json::from_str(&line)
            .map(Service::Started)
            .context("the devstack's line isn't as agreed")
    }
}

impl<T: Part> Service<T> {
    /// The settings of a service that was started here; nobody needs to be told of the others.
    pub(super) fn environment(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Started(part) => part.environment(),
            Self::Named(_) => Vec::new(),
        }
    }
}

/// A Postgres cluster.
#[derive(Deserialize)]
pub(super) struct Database {
    pub(super) url: String,
    admin_url: String,
}

impl Part for Database {
    fn environment(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("DATABASE_URL", &self.url),
            ("DATABASE_ADMIN_URL", &self.admin_url),
        ]
    }
}

/// An S3 server.
#[derive(Deserialize)]
pub(super) struct ObjectStore {
    endpoint: String,
    region: String,
    bucket: String,
    access_key_id: String,
    secret_access_key: String,
}

impl Part for ObjectStore {
    fn environment(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("S3_ENDPOINT", &self.endpoint),
            ("S3_REGION", &self.region),
            ("S3_BUCKET", &self.bucket),
            ("S3_ACCESS_KEY_ID", &self.access_key_id),
            ("S3_SECRET_ACCESS_KEY", &self.secret_access_key),
        ]
    }
}

/// An SQS server.
#[derive(Deserialize)]
pub(super) struct Queue {
    endpoint: String,
    queue_name: String,
    access_key_id: String,
    secret_access_key: String,
}

/// The settings that say where a queue is.
pub(super) const QUEUE_SETTINGS: [&str; 5] = [
    "QUEUE_ENDPOINT",
    "QUEUE_NAME",
    "SQS_ACCESS_KEY_ID",
    "SQS_SECRET_ACCESS_KEY",
    "S3_REGION",
];

impl Part for Queue {
    fn environment(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("QUEUE_ENDPOINT", &self.endpoint),
            ("QUEUE_NAME", &self.queue_name),
            ("SQS_ACCESS_KEY_ID", &self.access_key_id),
            ("SQS_SECRET_ACCESS_KEY", &self.secret_access_key),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<T: Part>(line: &str) -> Vec<(&'static str, String)> {
        let part: T = serde_json::from_str(line).unwrap();
        part.environment()
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
    }

    #[test]
    fn the_devstacks_lines_are_understood() {
        assert_eq!(
            environment::<Database>(r#"{"admin_url":"postgres://a","url":"postgres://b"}"#)[0],
            ("DATABASE_URL", "postgres://b".to_owned())
        );
        let keys = r#""region":"r","access_key_id":"i","secret_access_key":"s""#;
        assert_eq!(
            environment::<ObjectStore>(&format!(r#"{{"endpoint":"e","bucket":"b",{keys}}}"#))[2],
            ("S3_BUCKET", "b".to_owned())
        );
        assert_eq!(
            environment::<Queue>(&format!(
                r#"{{"endpoint":"e","queue_name":"n","queue_url":"e/n",{keys}}}"#
            ))[1],
            ("QUEUE_NAME", "n".to_owned())
        );
    }
}

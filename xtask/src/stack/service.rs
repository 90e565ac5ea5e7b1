//! The services of the devstack: parses the line that each prints when it is ready into settings.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::process::{ChildId, Supervisor};

/// A service that was started here, or an external one.
pub(super) enum Service<T> {
    Started(T),
    /// The value of the setting that names the service.
    External(String),
}

/// A service that may not be ready yet.
pub(super) enum PendingService {
    Starting(ChildId),
    /// The value of the setting that names the service.
    External(String),
}

/// The description of a devstack service.
pub(super) trait Part: DeserializeOwned {
    /// Returns the settings that components need to reach the service.
    fn environment(&self) -> Vec<(&'static str, &str)>;
}

impl PendingService {
    /// Waits until the service is ready.
    ///
    /// # Errors
    /// When the service exits, times out or prints something unexpected, and
    /// [`crate::signals::Interrupted`].
    pub(super) fn ready<T: Part>(
        self,
        supervisor: &mut Supervisor,
        timeout: Duration,
    ) -> Result<Service<T>> {
        let child = match self {
            Self::Starting(child) => child,
            Self::External(value) => return Ok(Service::External(value)),
        };
        let line = supervisor.first_line(child, timeout)?;
        serde_json::from_str(&line)
            .map(Service::Started)
            .context("cannot parse the first line of the devstack's output")
    }
}

impl<T: Part> Service<T> {
    /// Returns the settings of a service that was started here. Those of an external one are set already.
    pub(super) fn environment(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Started(part) => part.environment(),
            Self::External(_) => Vec::new(),
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

/// The settings of a queue.
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
    fn the_lines_of_the_devstack_are_parsed() {
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

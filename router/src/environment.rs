//! Settings: the process environment first, then the `.env` file beside the manifest.
//!
//! The file is read, never loaded into the environment of the process: nothing that the router
//! starts inherits it. Values may be secret and are never logged.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Context as _;

/// Settings of other parts of the bundle, or of later versions. A deployment may set them all at
/// once; where this process has no use for one, it says so instead of failing.
const KNOWN_ELSEWHERE: [&str; 27] = [
    "DATABASE_CDC_URL",
    "REDIS_URL",
    "S3_ENDPOINT",
    "S3_REGION",
    "S3_BUCKET",
    "S3_PUBLIC_ENDPOINT",
    "MEDIA_PUBLIC_URL",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
    "QUEUE_ENDPOINT",
    "QUEUE_NAME",
    "SQS_ACCESS_KEY_ID",
    "SQS_SECRET_ACCESS_KEY",
    "AUTH_MODE",
    "PASETO_ACCESS_KEY",
    "PASETO_REFRESH_KEY",
    "JWT_SECRET",
    "ARGON_SECRET",
    "COOKIE_SECRET",
    "COOKIE_SAMESITE",
    "UNSUBSCRIBE_SECRET",
    "CDC_WS_SECRET",
    "CDC_INTERNAL_SECRET",
    "JOB_SECRET",
    "ALLOWED_ORIGINS",
    "ADMIN_EMAIL",
    "MAIL_URL",
];

/// The bucket's keys: our name, and Amazon's.
const S3_KEYS: [(&str, &str); 2] = [
    ("S3_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
    ("S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
];

/// The folder that a manifest's paths begin at.
pub(crate) fn folder_of(manifest: &Path) -> &Path {
    match manifest.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// The settings that this process was started with.
pub(crate) struct Environment {
    process: HashMap<String, String>,
    file: BTreeMap<String, String>,
}

impl Environment {
    /// Reads `.env` in `folder`, if there is one.
    ///
    /// # Errors
    /// When the file is there and can't be read or parsed.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(".env");
        let file = if path.exists() {
            dotenvy::from_path_iter(&path)
                .and_then(Iterator::collect)
                .with_context(|| format!("cannot read {}", path.display()))?
        } else {
            BTreeMap::new()
        };
        Ok(Self {
            process: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            file,
        })
    }

    /// A setting's value; one that is set to nothing is not set. The bucket's keys may also be set by the
    /// names that Amazon's tools have for them, as a pair.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.own(name).or_else(|| {
            let (_, amazons) = S3_KEYS.into_iter().find(|(ours, _)| *ours == name)?;
            let is_set = S3_KEYS
                .into_iter()
                .any(|(ours, _)| self.own(ours).is_some());
            self.own(amazons).filter(|_| !is_set)
        })
    }

    fn own(&self, name: &str) -> Option<&str> {
        self.process
            .get(name)
            .or_else(|| self.file.get(name))
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A setting's value as `T`.
    ///
    /// # Errors
    /// When it is set and is no `T`; the error names the setting, not the value.
    pub(crate) fn parse<T>(&self, name: &str) -> anyhow::Result<Option<T>>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        self.get(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|error| anyhow::anyhow!("{name} is not valid: {error}"))
            })
            .transpose()
    }

    /// Says once which settings are set and mean nothing to this process. `used` are those that the
    /// manifest's variables take.
    pub(crate) fn notice_unused(&self, used: impl Fn(&str) -> bool) {
        let unused: Vec<_> = KNOWN_ELSEWHERE
            .into_iter()
            .filter(|name| self.get(name).is_some() && !used(name))
            .collect();
        if !unused.is_empty() {
            tracing::info!("set, and not used by this process: {}", unused.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(process: &[(&str, &str)]) -> [Option<String>; 2] {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = Environment {
            process: process.iter().map(owned).collect(),
            file: BTreeMap::new(),
        };
        S3_KEYS.map(|(name, _)| environment.get(name).map(str::to_owned))
    }

    #[test]
    fn the_buckets_keys_have_amazons_names_too_and_pairs_are_not_mixed() {
        let amazons = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        assert_eq!(keys(&amazons), [Some("a".to_owned()), Some("b".to_owned())]);
        let mixed = [amazons[0], amazons[1], ("S3_ACCESS_KEY_ID", "c")];
        assert_eq!(keys(&mixed), [Some("c".to_owned()), None]);
        assert_eq!(keys(&[("S3_ACCESS_KEY_ID", "")]), [None, None]);
    }
}

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

/// The bucket's own address, which functions call where its name is in the host's.
const BUCKET_ENDPOINT: &str = "S3_BUCKET_ENDPOINT";

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
    /// What [`BUCKET_ENDPOINT`] is, if it is not set: a manifest can't put one value into another.
    bucket_endpoint: Option<String>,
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
        let process = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Ok(Self::new(process.collect(), file))
    }

    fn new(process: HashMap<String, String>, file: BTreeMap<String, String>) -> Self {
        let mut environment = Self {
            process,
            file,
            bucket_endpoint: None,
        };
        environment.bucket_endpoint = environment.bucket_endpoint();
        environment
    }

    /// A setting's value; one that is set to nothing is not set. The bucket's keys may also be set by the
    /// names that Amazon's tools have for them, as a pair; the bucket's address follows from others.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.own(name).or_else(|| {
            if name == BUCKET_ENDPOINT {
                return self.bucket_endpoint.as_deref();
            }
            let (_, amazons) = S3_KEYS.into_iter().find(|(ours, _)| *ours == name)?;
            let is_set = S3_KEYS
                .into_iter()
                .any(|(ours, _)| self.own(ours).is_some());
            self.own(amazons).filter(|_| !is_set)
        })
    }

    /// `https://bucket.host`, if that is how buckets are addressed.
    fn bucket_endpoint(&self) -> Option<String> {
        let variable = |name: &str| {
            let spins = format!("SPIN_VARIABLE_{name}");
            self.own(&spins).or_else(|| self.own(name))
        };
        variable("S3_ADDRESSING").filter(|addressing| *addressing == "virtual")?;
        let (scheme, host) = variable("S3_ENDPOINT")?.split_once("://")?;
        Some(format!("{scheme}://{}.{host}", variable("S3_BUCKET")?))
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

    fn environment(process: &[(&str, &str)]) -> Environment {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Environment::new(process.iter().map(owned).collect(), BTreeMap::new())
    }

    fn keys(process: &[(&str, &str)]) -> [Option<String>; 2] {
        let environment = environment(process);
        S3_KEYS.map(|(name, _)| environment.get(name).map(str::to_owned))
    }

    #[test]
    fn the_buckets_address_follows_from_others_where_its_name_is_in_the_hosts() {
        let settings = [
            ("S3_ENDPOINT", "https://s3.example:8443"),
            ("S3_BUCKET", "prints"),
            ("S3_ADDRESSING", "virtual"),
        ];
        let with = |more: &[(&str, &str)]| {
            let environment = environment(&[&settings, more].concat());
            environment.get(BUCKET_ENDPOINT).map(str::to_owned)
        };
        assert_eq!(with(&[]).unwrap(), "https://prints.s3.example:8443");
        let spins = [("SPIN_VARIABLE_S3_BUCKET", "scans")];
        assert_eq!(with(&spins).unwrap(), "https://scans.s3.example:8443");
        let set = [(BUCKET_ENDPOINT, "https://prints.example")];
        assert_eq!(with(&set).unwrap(), "https://prints.example");
        assert_eq!(with(&[("S3_ADDRESSING", "path")]), None);
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

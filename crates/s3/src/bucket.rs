//! A bucket, and who speaks to it: read from the settings.

use tirage_sigv4::{Credentials, Secret, Service, Signer};

use crate::endpoint::{Addressing, Endpoint, EndpointError};

/// A bucket at an S3 service, with the keys to it. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub(crate) signer: Signer,
    /// Where this process reaches it.
    pub(crate) internal: Endpoint,
    /// Where clients reach it: presigned URLs are for this one.
    pub(crate) public: Endpoint,
}

/// Why the settings name no bucket. No message repeats a key, or an address, which might hold one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It has to be set.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// An address that is none.
    #[error("{name}: {error}")]
    Endpoint {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        error: EndpointError,
    },
    /// Not a bucket's name, by the rules of S3.
    #[error(
        "S3_BUCKET: a bucket's name is 3 to 63 lower-case letters, digits, dots and hyphens, \
         with a letter or digit at both ends"
    )]
    Bucket,
    /// Not a region's name.
    #[error("S3_REGION: a region's name is letters, digits and hyphens")]
    Region,
    /// Another way of addressing than there are.
    #[error("S3_ADDRESSING is `path` or `virtual`")]
    Addressing,
}

impl Bucket {
    /// Reads the bucket from settings by their names in upper case; one that is empty counts as not set.
    ///
    /// | setting | |
    /// |---|---|
    /// | `S3_ENDPOINT` | address of the service, without the bucket |
    /// | `S3_PUBLIC_ENDPOINT` | the address that clients reach; default `S3_ENDPOINT` |
    /// | `S3_REGION`, `S3_BUCKET` | |
    /// | `S3_ADDRESSING` | `virtual` (bucket in the host) or `path`; default `path` for services without a domain of their own ([`Addressing`]) |
    /// | `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY` | or `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, with these, `AWS_SESSION_TOKEN` |
    ///
    /// # Errors
    /// When one is missing or makes no sense.
    pub fn from_settings(setting: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let optional = |name| setting(name).filter(|value| !value.is_empty());
        let required = |name| optional(name).ok_or(SettingsError::Missing(name));

        let address = required("S3_ENDPOINT")?;
        let region = required("S3_REGION")?;
        let name = required("S3_BUCKET")?;
        let credentials = credentials(optional)?;
        if !is_bucket_name(&name) {
            return Err(SettingsError::Bucket);
        }
        if !region
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return Err(SettingsError::Region);
        }
        let addressing = match optional("S3_ADDRESSING").as_deref() {
            None => None,
            Some("path") => Some(Addressing::Path),
            Some("virtual") => Some(Addressing::Virtual),
            Some(_) => return Err(SettingsError::Addressing),
        };
        let endpoint = |setting, address: &str| {
            Endpoint::parse(address, &name, addressing).map_err(|error| SettingsError::Endpoint {
                name: setting,
                error,
            })
        };
        let internal = endpoint("S3_ENDPOINT", &address)?;
        let public = match optional("S3_PUBLIC_ENDPOINT") {
            Some(address) => endpoint("S3_PUBLIC_ENDPOINT", &address)?,
            None => internal.clone(),
        };
        Ok(Self {
            signer: Signer {
                credentials,
                region,
                service: Service::S3,
            },
            internal,
            public,
        })
    }
}

/// One pair or the other, never half of each.
fn credentials(
    optional: impl Fn(&'static str) -> Option<String>,
) -> Result<Credentials, SettingsError> {
    const OURS: [&str; 2] = ["S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"];
    const AWSS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let aws = OURS.iter().all(|name| optional(name).is_none())
        && AWSS.iter().any(|name| optional(name).is_some());
    let [id, secret] = if aws { AWSS } else { OURS };
    let required = |name| optional(name).ok_or(SettingsError::Missing(name));
    let mut credentials = Credentials::new(required(id)?, required(secret)?);
    if aws {
        credentials.session_token = optional("AWS_SESSION_TOKEN").map(Secret::new);
    }
    Ok(credentials)
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
fn is_bucket_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.bytes().all(|b| inner(b) || b == b'.' || b == b'-')
        && name.bytes().next().is_some_and(inner)
        && name.bytes().last().is_some_and(inner)
        && !name.contains("..")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const SETTINGS: [(&str, &str); 5] = [
        ("S3_ENDPOINT", "https://s3.example"),
        ("S3_REGION", "fr-par"),
        ("S3_BUCKET", "prints"),
        ("S3_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("S3_SECRET_ACCESS_KEY", "key-secret"),
    ];

    pub(crate) fn bucket(changes: &[(&str, &str)]) -> Result<Bucket, SettingsError> {
        Bucket::from_settings(|name| {
            let all = changes.iter().chain(&SETTINGS);
            all.clone()
                .find(|(setting, _)| *setting == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_setting_is_asked_for_by_name() {
        assert!(bucket(&[]).is_ok());
        for (name, _) in SETTINGS {
            assert_eq!(
                bucket(&[(name, "")]).unwrap_err(),
                SettingsError::Missing(name)
            );
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_named_and_not_repeated() {
        for (name, value) in [
            ("S3_ENDPOINT", "https://id:key-secret@s3.example"),
            ("S3_PUBLIC_ENDPOINT", "key-secret"),
            ("S3_BUCKET", "Key-secret"),
            ("S3_REGION", "key-secret/"),
            ("S3_ADDRESSING", "key-secret"),
        ] {
            let error = bucket(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let shown = format!("{:?}", bucket(&[]).unwrap());
        assert!(!shown.contains("key-secret"), "{shown}");
    }

    #[test]
    fn awss_names_serve_where_ours_are_not_set() {
        let none = [("S3_ACCESS_KEY_ID", ""), ("S3_SECRET_ACCESS_KEY", "")];
        let aws = [
            ("AWS_ACCESS_KEY_ID", "theirs"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SESSION_TOKEN", "t"),
        ];
        let theirs = bucket(&[&none[..], &aws].concat())
            .unwrap()
            .signer
            .credentials;
        assert_eq!(theirs.access_key_id, "theirs");
        assert!(theirs.session_token.is_some());
        let ours = bucket(&aws).unwrap().signer.credentials;
        assert_eq!(ours.access_key_id, "AKIDEXAMPLE");
        assert!(ours.session_token.is_none());
    }
}

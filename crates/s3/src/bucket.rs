//! Address and credentials of a bucket, read from the settings.

use tirage_sigv4::{Credentials, Service, Signer};

use crate::endpoint::{Addressing, Endpoint, EndpointError};

/// A bucket of an S3 service, with credentials. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub(crate) signer: Signer,
    /// Address for requests of this process.
    pub(crate) internal: Endpoint,
    /// Address for clients, used in presigned URLs.
    pub(crate) public: Endpoint,
}

/// Error in the settings. No message repeats a key, or an address, which might contain one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A required setting is missing.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// Invalid address.
    #[error("{name}: {error}")]
    Endpoint {
        /// Name of the setting.
        name: &'static str,
        /// Reason.
        error: EndpointError,
    },
    /// Invalid bucket name.
    #[error(
        "S3_BUCKET: expected 3 to 63 lower-case letters, digits, dots and hyphens, \
         with a letter or digit at both ends"
    )]
    Bucket,
    /// Invalid region name.
    #[error("S3_REGION: expected letters, digits and hyphens")]
    Region,
    /// Unknown addressing style.
    #[error("S3_ADDRESSING: expected `path` or `virtual`")]
    Addressing,
}

impl Bucket {
    /// Reads the settings below through `setting`. An empty value counts as not set.
    ///
    /// | setting | |
    /// |---|---|
    /// | `S3_ENDPOINT` | address of the service, without the bucket name |
    /// | `S3_PUBLIC_ENDPOINT` | address of the service for clients; default `S3_ENDPOINT` |
    /// | `S3_REGION`, `S3_BUCKET` | |
    /// | `S3_ADDRESSING` | `virtual` (bucket name in the host) or `path`; default: see [`Addressing`] |
    /// | `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY` | |
    ///
    /// # Errors
    /// [`SettingsError`] for the first setting that is missing or invalid.
    pub fn from_settings(setting: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let optional = |name| setting(name).filter(|value| !value.is_empty());
        let required = |name| optional(name).ok_or(SettingsError::Missing(name));

        let address = required("S3_ENDPOINT")?;
        let region = required("S3_REGION")?;
        let name = required("S3_BUCKET")?;
        let credentials = Credentials::new(
            required("S3_ACCESS_KEY_ID")?,
            required("S3_SECRET_ACCESS_KEY")?,
        );
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

/// `true` if the name follows
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>.
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
    fn each_required_setting_is_named_if_it_is_missing() {
        assert!(bucket(&[]).is_ok());
        for (name, _) in SETTINGS {
            assert_eq!(
                bucket(&[(name, "")]).unwrap_err(),
                SettingsError::Missing(name)
            );
        }
    }

    #[test]
    fn an_invalid_setting_is_named_and_its_value_is_not_repeated() {
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
}

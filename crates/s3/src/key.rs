//! Object keys: the only place that names an object or parses such a name.
//!
//! A key is `<workspace>/<media>/<object>`. The object is `original`, or `<variant>.<lease>` for a variant
//! stored under that lease, so that no two claims of a task ever write the same key.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

const ORIGINAL: &str = "original";
/// Longest variant name, in bytes. The table `variant` has the same limit.
const MAX_VARIANT_NAME: usize = 32;

/// Key of an object. Its text needs no escaping in URLs or XML.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    workspace: Uuid,
    media: Uuid,
    name: ObjectName,
}

/// Last part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ObjectName {
    /// The uploaded file.
    Original,
    /// A resized image.
    Variant {
        /// Name of the variant.
        name: VariantName,
        /// Lease under which the worker stored it, from 1.
        lease: i32,
    },
}

/// Name of a variant: 1 to 32 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VariantName(String);

/// Error of parsing a key or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseKeyError {
    /// Not three parts, or the first two are not UUIDs in lower case with hyphens.
    #[error("invalid object key: expected <workspace>/<media>/<object>, the first two UUIDs")]
    Layout,
    /// Neither `original` nor `<variant>.<lease>`.
    #[error("invalid object name: expected `original` or `<variant>.<lease>`")]
    ObjectName,
    /// Invalid variant name.
    #[error("invalid variant name: expected 1 to 32 of a-z, 0-9 and `-`")]
    VariantName,
}

impl Key {
    /// Key of an object of a media item.
    pub fn new(workspace: Uuid, media: Uuid, name: ObjectName) -> Self {
        Self {
            workspace,
            media,
            name,
        }
    }

    /// Key of an uploaded file.
    pub fn original(workspace: Uuid, media: Uuid) -> Self {
        Self::new(workspace, media, ObjectName::Original)
    }

    /// Workspace of the media item.
    pub fn workspace(&self) -> Uuid {
        self.workspace
    }

    /// Id of the media item.
    pub fn media(&self) -> Uuid {
        self.media
    }

    /// Last part of the key.
    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    /// Common prefix of a workspace's keys.
    pub fn prefix_of_workspace(workspace: Uuid) -> String {
        format!("{workspace}/")
    }

    /// Common prefix of a media item's keys.
    pub fn prefix_of_media(workspace: Uuid, media: Uuid) -> String {
        format!("{workspace}/{media}/")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.workspace, self.media, self.name)
    }
}

impl FromStr for Key {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let mut parts = text.splitn(3, '/');
        let (Some(workspace), Some(media), Some(name)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(ParseKeyError::Layout);
        };
        // Another spelling of the same UUID is another key, which names no object of ours.
        let uuid = |text: &str| {
            let uuid = Uuid::parse_str(text).ok()?;
            (uuid.to_string() == text).then_some(uuid)
        };
        match (uuid(workspace), uuid(media)) {
            (Some(workspace), Some(media)) => Ok(Self::new(workspace, media, name.parse()?)),
            _ => Err(ParseKeyError::Layout),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Original => f.write_str(ORIGINAL),
            Self::Variant { name, lease } => write!(f, "{name}.{lease}"),
        }
    }
}

impl FromStr for ObjectName {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        if text == ORIGINAL {
            return Ok(Self::Original);
        }
        let (name, number) = text.rsplit_once('.').ok_or(ParseKeyError::ObjectName)?;
        let lease: i32 = number.parse().map_err(|_| ParseKeyError::ObjectName)?;
        // One name, one text: `+1` and `01` parse as numbers too.
        if lease < 1 || lease.to_string() != number {
            return Err(ParseKeyError::ObjectName);
        }
        let name = name.parse()?;
        Ok(Self::Variant { name, lease })
    }
}

impl VariantName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VariantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for VariantName {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let is_valid = (1..=MAX_VARIANT_NAME).contains(&text.len())
            && text
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        match is_valid {
            true => Ok(Self(text.to_owned())),
            false => Err(ParseKeyError::VariantName),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0190b3a0-0000-7000-8000-00000000000a";
    const B: &str = "0190b3a0-0000-7000-8000-00000000000b";

    #[test]
    fn a_key_parses_back_to_itself() {
        let variant = |name: &str, lease| ObjectName::Variant {
            name: name.parse().unwrap(),
            lease,
        };
        for (text, name) in [
            ("original", ObjectName::Original),
            ("original.1", variant("original", 1)),
            ("thumb.1", variant("thumb", 1)),
            ("display-2048.112", variant("display-2048", 112)),
            ("-.2147483647", variant("-", i32::MAX)),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse::<ObjectName>().unwrap(), name);

            let key = Key::new(A.parse().unwrap(), B.parse().unwrap(), name);
            assert_eq!(key.to_string(), format!("{A}/{B}/{text}"));
            assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
            let text = key.to_string();
            assert!(text.starts_with(&Key::prefix_of_media(key.workspace(), key.media())));
            assert!(text.starts_with(&Key::prefix_of_workspace(key.workspace())));
        }
    }

    #[test]
    fn an_invalid_key_is_refused() {
        let long = "a".repeat(33);
        for (text, expected) in [
            (String::new(), ParseKeyError::Layout),
            (format!("{A}/{B}"), ParseKeyError::Layout),
            (format!("/{A}/{B}/original"), ParseKeyError::Layout),
            (
                format!("{}/{B}/original", A.to_uppercase()),
                ParseKeyError::Layout,
            ),
            (
                format!("{}/{B}/original", A.replace('-', "")),
                ParseKeyError::Layout,
            ),
            (format!("{A}/../original"), ParseKeyError::Layout),
            (format!("{A}/{B}/"), ParseKeyError::ObjectName),
            (format!("{A}/{B}/.."), ParseKeyError::ObjectName),
            (format!("{A}/{B}/a/b"), ParseKeyError::ObjectName),
            (format!("{A}/{B}/Original"), ParseKeyError::ObjectName),
            (format!("{A}/{B}/thumb"), ParseKeyError::ObjectName),
            (format!("{A}/{B}/thumb.0"), ParseKeyError::ObjectName),
            (format!("{A}/{B}/thumb.-1"), ParseKeyError::ObjectName),
            (format!("{A}/{B}/thumb.+1"), ParseKeyError::ObjectName),
            (format!("{A}/{B}/thumb.01"), ParseKeyError::ObjectName),
            (format!("{A}/{B}/thumb.1.jpg"), ParseKeyError::ObjectName),
            (format!("{A}/{B}/.1"), ParseKeyError::VariantName),
            (format!("{A}/{B}/a/b.1"), ParseKeyError::VariantName),
            (format!("{A}/{B}/Thumb.1"), ParseKeyError::VariantName),
            (format!("{A}/{B}/é.1"), ParseKeyError::VariantName),
            (format!("{A}/{B}/{long}.1"), ParseKeyError::VariantName),
        ] {
            assert_eq!(text.parse::<Key>().unwrap_err(), expected, "{text}");
        }
    }
}

//! Where an object lies: `<workspace>/<media>/original` or `<workspace>/<media>/<variant>`.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

const ORIGINAL: &str = "original";
/// The longest name of a variant, in bytes.
const MAX_NAME: usize = 64;

/// An object's key. Its text needs no escaping anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    workspace: Uuid,
    media: Uuid,
    name: Name,
}

/// Which of a media's objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseKeyError {
    /// Not three parts, of which the first two are UUIDs in lower case with hyphens.
    #[error("a key is <workspace>/<media>/<name>, the first two UUIDs")]
    Layout,
    /// Not a name that a variant may have.
    #[error(
        "a variant's name is 1 to 64 of a-z, 0-9, `.`, `_` and `-`, and begins with a letter or digit"
    )]
    Name,
}

impl Key {
    /// What was uploaded.
    pub fn original(workspace: Uuid, media: Uuid) -> Self {
        Self::new(workspace, media, Name(ORIGINAL.to_owned()))
    }

    /// The object of that name.
    pub fn new(workspace: Uuid, media: Uuid, name: Name) -> Self {
        Self {
            workspace,
            media,
            name,
        }
    }

    /// Whose it is.
    pub fn workspace(&self) -> Uuid {
        self.workspace
    }

    /// Which media it belongs to.
    pub fn media(&self) -> Uuid {
        self.media
    }

    /// Which of the media's objects it is.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What the keys of all of a workspace's objects begin with.
    pub fn prefix_of_workspace(workspace: Uuid) -> String {
        format!("{workspace}/")
    }

    /// What the keys of all of a media's objects begin with.
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
        // One object, one key: other spellings of a UUID would be another.
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

impl Name {
    /// Whether it is what was uploaded, and no variant.
    pub fn is_original(&self) -> bool {
        self.0 == ORIGINAL
    }

    /// As it stands in the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let right = text.len() <= MAX_NAME
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|b| plain(b) || b"._-".contains(&b));
        if right {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseKeyError::Name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0190b3a0-0000-7000-8000-00000000000a";
    const B: &str = "0190b3a0-0000-7000-8000-00000000000b";

    #[test]
    fn a_key_is_read_as_it_is_written() {
        for name in ["original", "thumb", "display-2048.jpg"] {
            let text = format!("{A}/{B}/{name}");
            let key: Key = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
            assert_eq!(key.workspace().to_string(), A);
            assert_eq!(key.media().to_string(), B);
            assert_eq!(key.name().is_original(), name == "original");
            assert!(text.starts_with(&Key::prefix_of_media(key.workspace(), key.media())));
            assert!(text.starts_with(&Key::prefix_of_workspace(key.workspace())));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "a".repeat(65);
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
            (format!("{A}/{B}/"), ParseKeyError::Name),
            (format!("{A}/{B}/.."), ParseKeyError::Name),
            (format!("{A}/{B}/a/b"), ParseKeyError::Name),
            (format!("{A}/{B}/Original"), ParseKeyError::Name),
            (format!("{A}/{B}/é"), ParseKeyError::Name),
            (format!("{A}/{B}/{long}"), ParseKeyError::Name),
        ] {
            assert_eq!(text.parse::<Key>().unwrap_err(), expected, "{text}");
        }
    }
}

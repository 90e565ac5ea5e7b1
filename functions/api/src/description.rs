//! Descriptions: short texts, in the order of their creation.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tirage_problem::{Kind, Place, Problem};

/// A description, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Description {
    pub(crate) id: i64,
    pub(crate) text: String,
    /// RFC 3339, in UTC.
    pub(crate) created_at: Timestamp,
}

/// Body of `POST /api/description`. A missing `text` counts as empty.
#[derive(Debug, Deserialize)]
pub(crate) struct NewDescription {
    #[serde(default)]
    pub(crate) text: String,
}

/// Text of a description: trimmed, not blank, bounded, and without NUL, which Postgres can't store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(String);

impl Text {
    /// Maximum length in characters (Unicode scalar values).
    pub(crate) const MAX_CHARACTERS: usize = 10_000;

    /// Trims and validates a text.
    ///
    /// # Errors
    /// 400 for a blank text or one with NUL characters, 422 for one that is too long.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        if text.is_empty() {
            return Err(invalid(Kind::INVALID_INPUT, "Description cannot be empty"));
        }
        if text.contains('\0') {
            return Err(invalid(
                Kind::INVALID_INPUT,
                "Description cannot contain NUL characters",
            ));
        }
        if text.chars().count() > Self::MAX_CHARACTERS {
            let detail = format!(
                "Description cannot exceed {} characters",
                Self::MAX_CHARACTERS
            );
            return Err(invalid(Kind::TOO_LONG, detail));
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn invalid(kind: Kind, detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(kind).field(Place::Pointer("#/text"), detail)
}

/// Maximum number of descriptions in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(i64);

impl Limit {
    pub(crate) const ONE: Self = Self(1);
    pub(crate) const DEFAULT: Self = Self(10);
    pub(crate) const MAX: Self = Self(100);

    /// Parses `?limit=`; [`Self::DEFAULT`] without it.
    ///
    /// # Errors
    /// 400 for anything but a number from 1 to 100.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let query = query.unwrap_or_default().as_bytes();
        let Some((_, value)) = form_urlencoded::parse(query).find(|(name, _)| name == "limit")
        else {
            return Ok(Self::DEFAULT);
        };
        match value.parse() {
            Ok(limit) if (1..=Self::MAX.0).contains(&limit) => Ok(Self(limit)),
            _ => Err(Problem::new(Kind::INVALID_INPUT).field(
                Place::Parameter("limit"),
                format!("Limit must be a number from 1 to {}", Self::MAX.0),
            )),
        }
    }

    pub(crate) fn get(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_trimmed() {
        assert_eq!(Text::parse(" \n a  b\u{3000}\t").unwrap().as_str(), "a  b");
    }

    #[test]
    fn an_invalid_text_is_refused() {
        let kind = |text: &str| Text::parse(text).unwrap_err().kind();
        assert_eq!(kind(""), Kind::INVALID_INPUT);
        assert_eq!(kind(" \u{a0}\n"), Kind::INVALID_INPUT);
        assert_eq!(kind("a\0b"), Kind::INVALID_INPUT);
        assert_eq!(kind(&"é".repeat(10_001)), Kind::TOO_LONG);
        assert!(Text::parse(&format!("{}  ", "é".repeat(10_000))).is_ok());
    }

    #[test]
    fn the_problem_of_a_blank_text_is_stable() {
        let response = Text::parse("  ").unwrap_err().into_response(None);
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(response.status(), 400);
        assert_eq!(document["detail"], "Description cannot be empty");
        assert_eq!(document["errors"][0]["pointer"], "#/text");
    }

    #[test]
    fn a_limit_has_a_default_and_bounds() {
        assert_eq!(Limit::parse(None).unwrap(), Limit::DEFAULT);
        assert_eq!(Limit::parse(Some("page=2")).unwrap(), Limit::DEFAULT);
        assert_eq!(Limit::parse(Some("limit=1&limit=2")).unwrap(), Limit(1));
        assert_eq!(Limit::parse(Some("limit=%31%30%30")).unwrap(), Limit::MAX);
        for query in [
            "limit=",
            "limit=0",
            "limit=-1",
            "limit=101",
            "limit=ten",
            "limit=1.5",
            "limit=99999999999999999999",
        ] {
            assert_eq!(
                Limit::parse(Some(query)).unwrap_err().kind(),
                Kind::INVALID_INPUT,
                "{query}"
            );
        }
    }

    #[test]
    fn the_json_of_a_description_is_stable() {
        let description = Description {
            id: 7,
            text: "a".to_owned(),
            created_at: "2026-11-20T10:00:00.000001Z".parse().unwrap(),
        };
        assert_eq!(
            serde_json::to_string(&description).unwrap(),
            r#"{"id":7,"text":"a","created_at":"2026-11-20T10:00:00.000001Z"}"#
        );
    }
}

//! Content codings that a client accepts.

use http::HeaderValue;

/// A content coding of compressed copies that the build may create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Brotli,
    Gzip,
}

impl Encoding {
    /// Returns the codings that a client accepts, the smallest output first (RFC 9110, 12.5.3). Ignores
    /// preferences among them, except that `;q=0` excludes a coding.
    pub(crate) fn accepted(accept_encoding: Option<&HeaderValue>) -> Vec<Self> {
        let codings: Vec<(String, bool)> = accept_encoding
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .split(',')
            .map(coding)
            .collect();
        let accepts = |name: &str| {
            codings
                .iter()
                .find(|(coding, _)| coding == name)
                .map(|(_, accepts)| *accepts)
        };
        [Self::Brotli, Self::Gzip]
            .into_iter()
            .filter(|encoding| {
                let name = encoding.token();
                accepts(name).or_else(|| accepts("*")).unwrap_or(false)
            })
            .collect()
    }

    /// Returns the suffix of compressed copies.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// Returns the Content-Encoding header.
    pub(crate) fn name(self) -> HeaderValue {
        HeaderValue::from_static(self.token())
    }

    fn token(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// Parses an item of Accept-Encoding: a coding's name, and `true` if the client accepts it.
fn coding(item: &str) -> (String, bool) {
    let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
    let quality = parameters
        .split_once('=')
        .and_then(|(_, quality)| quality.trim().parse::<f32>().ok());
    (
        name.trim().to_ascii_lowercase(),
        quality.is_none_or(|quality| quality > 0.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(value: &'static str) -> Vec<Encoding> {
        Encoding::accepted(Some(&HeaderValue::from_static(value)))
    }

    #[test]
    fn accepted_codings_are_sorted_by_size() {
        assert_eq!(
            accepted("gzip, deflate, br, zstd"),
            [Encoding::Brotli, Encoding::Gzip]
        );
        assert_eq!(accepted("GZIP;q=0.5"), [Encoding::Gzip]);
        assert_eq!(accepted("*"), [Encoding::Brotli, Encoding::Gzip]);
        assert_eq!(accepted("br;q=0, *"), [Encoding::Gzip]);
    }

    #[test]
    fn other_codings_are_not_accepted() {
        assert_eq!(Encoding::accepted(None), []);
        for value in ["", "identity", "br; q=0.0, gzip;q=0", "brotli"] {
            assert_eq!(accepted(value), [], "{value}");
        }
    }
}

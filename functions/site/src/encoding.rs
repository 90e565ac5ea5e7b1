//! Which compressed copy of a file a client takes.

use http::HeaderValue;

/// A content coding that the build may have made copies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Brotli,
    Gzip,
}

impl Encoding {
    /// Those that a client takes, smallest first (RFC 9110, 12.5.3). A client's preferences among
    /// them count for nothing; what it excludes (`;q=0`) is excluded.
    pub(crate) fn accepted(accept_encoding: Option<&HeaderValue>) -> Vec<Self> {
        let codings: Vec<(String, bool)> = accept_encoding
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .split(',')
            .map(coding)
            .collect();
        let takes = |name: &str| {
            codings
                .iter()
                .find(|(coding, _)| coding == name)
                .map(|(_, takes)| *takes)
        };
        [Self::Brotli, Self::Gzip]
            .into_iter()
            .filter(|encoding| {
                let name = encoding.token();
                takes(name).or_else(|| takes("*")).unwrap_or(false)
            })
            .collect()
    }

    /// What follows a file's name in that of its copy.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// For `Content-Encoding`.
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

/// The name of a coding, and whether the client takes it.
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
    fn a_client_gets_the_smallest_it_takes() {
        assert_eq!(
            accepted("gzip, deflate, br, zstd"),
            [Encoding::Brotli, Encoding::Gzip]
        );
        assert_eq!(accepted("GZIP;q=0.5"), [Encoding::Gzip]);
        assert_eq!(accepted("*"), [Encoding::Brotli, Encoding::Gzip]);
        assert_eq!(accepted("br;q=0, *"), [Encoding::Gzip]);
    }

    #[test]
    fn and_none_that_it_does_not() {
        assert_eq!(Encoding::accepted(None), []);
        for value in ["", "identity", "br; q=0.0, gzip;q=0", "brotli"] {
            assert_eq!(accepted(value), [], "{value}");
        }
    }
}

//! What the query asks for.

use tirage_imaging::{Limits, Variant};
use tirage_problem::{Kind, Place, Problem};

/// What the query asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) variants: Vec<Variant>,
    pub(crate) limits: Limits,
}

impl Options {
    /// Reads a query; what it doesn't say has defaults.
    ///
    /// # Errors
    /// 400 for a variant or a limit that isn't one, and for a parameter that doesn't exist, since it is
    /// probably misspelt.
    pub(crate) fn parse(query: &str) -> Result<Self, Problem> {
        let mut variants = Vec::new();
        let mut limits = Limits::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "variant" => variants.push(value.into_owned()),
                "max_bytes" => limits.file_bytes = limit("max_bytes", &value)?,
                "max_pixels" => limits.pixels = limit("max_pixels", &value)?,
                "max_memory_bytes" => limits.memory_bytes = limit("max_memory_bytes", &value)?,
                _ => {
                    return Err(Problem::new(Kind::INVALID_INPUT).detail(
                        "Parameters are variant, max_bytes, max_pixels, max_memory_bytes",
                    ));
                }
            }
        }
        let variants =
            Variant::parse_all(variants.iter().map(String::as_str)).map_err(|invalid| {
                Problem::new(Kind::INVALID_INPUT)
                    .field(Place::Parameter("variant"), refusal_text(invalid))
            })?;
        Ok(Self { variants, limits })
    }
}

fn limit(name: &'static str, value: &str) -> Result<u64, Problem> {
    value.parse().map_err(|_| {
        Problem::new(Kind::INVALID_INPUT).field(Place::Parameter(name), "A limit is a whole number")
    })
}

fn refusal_text(invalid: impl std::fmt::Display) -> String {
    crate::refusal::sentence(&invalid.to_string())
}

#[cfg(test)]
mod tests {
    use tirage_imaging::Encoding;

    use super::*;

    #[test]
    fn an_empty_query_asks_for_the_defaults() {
        let options = Options::parse("").unwrap();
        assert_eq!(options.variants, Variant::defaults());
        assert_eq!(options.limits, Limits::default());
    }

    #[test]
    fn variants_come_in_their_order_and_limits_change() {
        let options =
            Options::parse("variant=b%3A9%3Apng&variant=a:8:jpeg:70&max_pixels=5&max_bytes=6")
                .unwrap();
        assert_eq!(
            options.variants,
            [
                Variant::new("b", 9, Encoding::Png).unwrap(),
                Variant::new("a", 8, Encoding::Jpeg { quality: 70 }).unwrap(),
            ]
        );
        assert_eq!((options.limits.pixels, options.limits.file_bytes), (5, 6));
        assert_eq!(options.limits.memory_bytes, Limits::default().memory_bytes);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for query in [
            "variant=a",
            "variant=a:1:gif",
            "max_bytes=-1",
            "max_bytes=",
            "varient=a:1:png",
        ] {
            let problem = Options::parse(query).unwrap_err();
            assert_eq!(problem.kind(), Kind::INVALID_INPUT, "{query}");
        }
    }
}

//! Query parameters of a request.

use tirage_imaging::{Limits, VariantSpec};
use tirage_problem::{Kind, Place, Problem};

/// Query parameters of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) variants: Vec<VariantSpec>,
    pub(crate) limits: Limits,
}

impl Options {
    /// Parses a query. Absent parameters have defaults.
    ///
    /// # Errors
    /// 400 for an invalid variant or limit, and for an unknown parameter, because it is probably misspelt.
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
                        "Unknown parameter: expected variant, max_bytes, max_pixels or max_memory_bytes",
                    ));
                }
            }
        }
        let variants =
            VariantSpec::parse_all(variants.iter().map(String::as_str)).map_err(|invalid| {
                Problem::new(Kind::INVALID_INPUT).field(
                    Place::Parameter("variant"),
                    crate::problem::capitalise(&invalid.to_string()),
                )
            })?;
        Ok(Self { variants, limits })
    }
}

fn limit(name: &'static str, value: &str) -> Result<u64, Problem> {
    value.parse().map_err(|_| {
        Problem::new(Kind::INVALID_INPUT).field(
            Place::Parameter(name),
            "Invalid limit: expected a whole number",
        )
    })
}

#[cfg(test)]
mod tests {
    use tirage_imaging::Encoding;

    use super::*;

    #[test]
    fn an_empty_query_gives_the_defaults() {
        let options = Options::parse("").unwrap();
        assert_eq!(options.variants, VariantSpec::defaults());
        assert_eq!(options.limits, Limits::default());
    }

    #[test]
    fn variants_keep_their_order_and_limits_are_parsed() {
        let options =
            Options::parse("variant=b%3A9%3Apng&variant=a:8:jpeg:70&max_pixels=5&max_bytes=6")
                .unwrap();
        assert_eq!(
            options.variants,
            [
                VariantSpec::new("b", 9, Encoding::Png).unwrap(),
                VariantSpec::new("a", 8, Encoding::Jpeg { quality: 70 }).unwrap(),
            ]
        );
        assert_eq!((options.limits.pixels, options.limits.file_bytes), (5, 6));
        assert_eq!(options.limits.memory_bytes, Limits::default().memory_bytes);
    }

    #[test]
    fn invalid_parameters_are_refused() {
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

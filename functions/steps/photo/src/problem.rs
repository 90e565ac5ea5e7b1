//! Problem documents for errors of image processing.

use tirage_imaging::Error;
use tirage_problem::{Kind, Problem};

/// Maps an error to the client's problem document. An internal error is logged, and its details are
/// withheld.
pub(crate) fn from_error(error: Error) -> Problem {
    let kind = match &error {
        Error::UnsupportedFormat(_) | Error::UnsupportedFeature { .. } => Kind::UNSUPPORTED_FORMAT,
        Error::NotAnImage => Kind::NOT_AN_IMAGE,
        Error::Broken { .. } => Kind::BROKEN_FILE,
        Error::FileTooLarge { .. } => Kind::BODY_TOO_LARGE,
        Error::TooManyPixels { .. } => Kind::TOO_MANY_PIXELS,
        Error::TooMuchMemory { .. } => Kind::TOO_MUCH_MEMORY,
        Error::Encoder(_) => {
            eprintln!("{error}");
            return Problem::new(Kind::INTERNAL);
        }
    };
    Problem::new(kind).detail(capitalise(&error.to_string()))
}

/// Returns the text with its first letter in upper case.
pub(crate) fn capitalise(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_file_are_explained() {
        let response = from_error(Error::TooManyPixels {
            pixels: 5,
            limit: 4,
        })
        .into_response(None);
        assert_eq!(response.status(), 422);
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(document["type"], "urn:tirage:problem:too-many-pixels");
        assert_eq!(
            document["detail"],
            "The image has 5 pixels in all frames, more than the limit of 4"
        );
    }

    #[test]
    fn internal_errors_are_withheld() {
        let response = from_error(Error::Encoder("secret".into())).into_response(None);
        assert_eq!(response.status(), 500);
        assert!(!String::from_utf8_lossy(response.body()).contains("secret"));
    }
}

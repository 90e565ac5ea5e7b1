//! Why there are no prints, as a problem document.

use tirage_imaging::Error;
use tirage_problem::{Kind, Problem};

/// The problem that an error is to the client.
pub(crate) fn of(error: Error) -> Problem {
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
    Problem::new(kind).detail(sentence(&error.to_string()))
}

/// The text with its first letter as a sentence has it.
pub(crate) fn sentence(text: &str) -> String {
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
    fn a_client_learns_what_is_wrong_with_its_file() {
        let response = of(Error::TooManyPixels {
            pixels: 5,
            limit: 4,
        })
        .into_response(None);
        assert_eq!(response.status(), 422);
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(document["type"], "urn:tirage:problem:too-many-pixels");
        assert_eq!(
            document["detail"],
            "The picture has 5 pixels in all, and 4 are allowed"
        );
    }

    #[test]
    fn and_nothing_of_what_went_wrong_inside() {
        let response = of(Error::Encoder("secret".into())).into_response(None);
        assert_eq!(response.status(), 500);
        assert!(!String::from_utf8_lossy(response.body()).contains("secret"));
    }
}

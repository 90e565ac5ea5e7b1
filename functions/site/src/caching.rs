//! How long a client may keep a file without asking again.

use http::HeaderValue;

use crate::path::FilePath;

/// For ever, where the name has a hash of the content in it; else not at all: the client asks each
/// time, and mostly hears 304.
pub(crate) fn of(path: &FilePath) -> HeaderValue {
    HeaderValue::from_static(if path.is_asset() && has_hash(path.file_name()) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    })
}

/// How long Vite's hashes are: <https://rollupjs.org/configuration-options/#output-assetfilenames>.
const HASH_LENGTH: usize = 8;

/// Whether a file is called `name-HASH.ext`, the hash in base64url.
///
/// A word of lower-case letters or a date is taken for a word or a date; a hash that looks like one
/// merely costs its file a few 304.
fn has_hash(file_name: &str) -> bool {
    let stem = file_name
        .split_once('.')
        .map_or(file_name, |(stem, _)| stem)
        .as_bytes();
    let Some((rest, hash)) = stem
        .len()
        .checked_sub(HASH_LENGTH)
        .map(|start| stem.split_at(start))
    else {
        return false;
    };
    rest.len() > 1
        && rest.ends_with(b"-")
        && hash
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && hash.iter().any(u8::is_ascii_alphabetic)
        && !hash
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_vite_names_by_content_is_kept_for_ever() {
        for name in [
            "index-DiwrgTda.js",
            "index-C-x_9aB1.css",
            "a-b-0a1b2c3d.woff2",
            "index-DiwrgTda.js.map",
        ] {
            assert!(has_hash(name), "{name}");
            let path = FilePath::parse(&format!("/assets/{name}")).unwrap();
            assert!(of(&path).to_str().unwrap().contains("immutable"));
        }
    }

    #[test]
    fn what_can_change_under_its_name_is_not() {
        for name in [
            "index.html",
            "photo-20261120.jpg",
            "my-calendar.js",
            "-DiwrgTda.js",
            "DiwrgTda.js",
            "a-short1.js",
            "é-é.js",
        ] {
            assert!(!has_hash(name), "{name}");
        }
        let outside = FilePath::parse("/index-DiwrgTda.js").unwrap();
        assert_eq!(of(&outside), "no-cache");
        assert_eq!(of(&FilePath::index()), "no-cache");
    }
}

//! Cache-Control: how long a client may use a file without revalidating it.

use http::HeaderValue;

use crate::path::FilePath;

/// Returns the Cache-Control header of a file. Names with a hash of the content are cached forever;
/// clients revalidate all others each time, which mostly ends in 304.
pub(crate) fn header(path: &FilePath) -> HeaderValue {
    HeaderValue::from_static(if path.is_asset() && has_hash(path.file_name()) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    })
}

/// Length of Vite's hashes: <https://rollupjs.org/configuration-options/#output-assetfilenames>.
const HASH_LENGTH: usize = 8;

/// `true` if a file is called `name-HASH.ext`, with the hash in base64url.
///
/// Words of lower-case letters and dates don't count as hashes. A hash that looks like one only costs
/// its file some responses with 304.
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
    fn names_with_a_hash_are_cached_forever() {
        for name in [
            "index-DiwrgTda.js",
            "index-C-x_9aB1.css",
            "a-b-0a1b2c3d.woff2",
            "index-DiwrgTda.js.map",
        ] {
            assert!(has_hash(name), "{name}");
            let path = FilePath::parse(&format!("/assets/{name}")).unwrap();
            assert!(header(&path).to_str().unwrap().contains("immutable"));
        }
    }

    #[test]
    fn other_names_are_revalidated() {
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
        assert_eq!(header(&outside), "no-cache");
        assert_eq!(header(&FilePath::index()), "no-cache");
    }
}

//! Content types of a website's files, by extension.

use http::HeaderValue;

use crate::path::FilePath;

/// Returns the Content-Type header of a file (<https://www.iana.org/assignments/media-types>).
pub(crate) fn header(path: &FilePath) -> HeaderValue {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    HeaderValue::from_static(match extension.as_str() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "xml" => "application/xml",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "gif" => "image/gif",
        "ico" => "image/vnd.microsoft.icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_chosen_by_extension() {
        let type_of = |path| header(&FilePath::parse(path).unwrap());
        assert_eq!(type_of("/"), "text/html; charset=utf-8");
        assert_eq!(
            type_of("/assets/index-DiwrgTda.js"),
            "text/javascript; charset=utf-8"
        );
        assert_eq!(type_of("/LOGO.PNG"), "image/png");
        assert_eq!(type_of("/README"), "application/octet-stream");
        assert_eq!(type_of("/html"), "application/octet-stream");
    }
}

//! Maps the path of a URL to the path of a file.

use std::fmt;

use http::HeaderValue;
use percent_encoding::percent_decode_str;

/// The path of a file below the mounted folder. It can't leave the folder: no segment is empty, hidden,
/// `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePath(String);

const INDEX: &str = "index.html";

impl FilePath {
    /// Returns the path of the app's page.
    pub(crate) fn index() -> Self {
        Self(INDEX.to_owned())
    }

    /// Parses a URL's path. Returns `None` if no file can have that path.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let (last, folders) = segments.split_last()?;
        let mut names = folders
            .iter()
            .map(|segment| name(segment))
            .collect::<Option<Vec<_>>>()?;
        names.push(match *last {
            "" => INDEX.to_owned(),
            last => name(last)?,
        });
        Some(Self(names.join("/")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the file name without folders.
    pub(crate) fn file_name(&self) -> &str {
        self.0
            .rsplit_once('/')
            .map_or(self.as_str(), |(_, name)| name)
    }

    /// Returns the part of the file name after the last dot.
    pub(crate) fn extension(&self) -> Option<&str> {
        self.file_name()
            .rsplit_once('.')
            .map(|(_, extension)| extension)
    }

    /// `true` if the path is in the build's output folder, where the app has no pages.
    pub(crate) fn is_asset(&self) -> bool {
        self.0.starts_with("assets/")
    }

    /// `true` if the app may have a page at this path where there is no file: the path doesn't look like
    /// a file name, or the client accepts HTML.
    pub(crate) fn is_page(&self, accept: Option<&HeaderValue>) -> bool {
        let accepts_html = accept
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
        !self.is_asset()
            && (self.extension().is_none_or(|extension| extension == "html") || accepts_html)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Decodes a segment. Returns `None` if it can't be the name of a file or folder, which includes encoded
/// slashes.
fn name(segment: &str) -> Option<String> {
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    let is_hidden = name.starts_with('.') && name != ".well-known";
    let is_name = !name.is_empty() && !is_hidden && !name.contains(['/', '\\', '\0']);
    is_name.then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Option<String> {
        FilePath::parse(path).map(|path| path.0)
    }

    #[test]
    fn a_path_names_a_file() {
        assert_eq!(file("/").as_deref(), Some("index.html"));
        assert_eq!(file("/docs/").as_deref(), Some("docs/index.html"));
        assert_eq!(file("/assets/a-b.js").as_deref(), Some("assets/a-b.js"));
        assert_eq!(
            file("/caf%C3%A9%20au%20lait.txt").as_deref(),
            Some("café au lait.txt")
        );
        assert_eq!(
            file("/.well-known/security.txt").as_deref(),
            Some(".well-known/security.txt")
        );
        assert_eq!(file("/a..b/c...d").as_deref(), Some("a..b/c...d"));
    }

    #[test]
    fn paths_outside_the_folder_and_hidden_files_are_refused() {
        for path in [
            "",
            "etc/passwd",
            "/..",
            "/../etc/passwd",
            "/a/../../etc/passwd",
            "/%2e%2e/etc/passwd",
            "/.%2E/x",
            "/..%2fetc%2fpasswd",
            "/..%5cwindows",
            "/a\\..\\b",
            "/./a",
            "//etc/passwd",
            "/a//b",
            "/.env",
            "/.git/config",
            "/a/.hidden",
            "/a%00.html",
            "/%ff",
            "/%2fetc/passwd",
        ] {
            assert_eq!(file(path), None, "{path}");
        }
    }

    #[test]
    fn paths_that_do_not_look_like_files_are_pages() {
        let html = HeaderValue::from_static("text/html,application/xhtml+xml,*/*;q=0.8");
        let any = HeaderValue::from_static("*/*");
        let is_page = |path: &str, accept| FilePath::parse(path).unwrap().is_page(accept);
        assert!(is_page("/photos/42", Some(&any)));
        assert!(is_page("/photos/", None));
        assert!(is_page("/users/jane.doe", Some(&html)));
        assert!(!is_page("/users/jane.doe", Some(&any)));
        assert!(!is_page("/logo.png", None));
        assert!(!is_page("/assets/gone-12345678.js", Some(&html)));
        assert!(!is_page("/assets/gone", Some(&html)));
    }
}

use std::fs;

use super::*;

/// A temporary folder with files, and the results of expanding entries in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        Self(folder)
    }

    fn expand(&self, mounts: &[FileMount], exclude: &[&str]) -> Result<Vec<String>, FilesError> {
        let files = Files {
            mounts: mounts.to_vec(),
            exclude: exclude.iter().map(|text| text.parse().unwrap()).collect(),
        };
        let root = self.0.path().canonicalize().unwrap();
        Ok(files
            .expand(self.0.path())?
            .into_iter()
            .map(|file| {
                let host = file.host.strip_prefix(&root).unwrap().display().to_string();
                format!("{host} -> {}", file.guest)
            })
            .collect())
    }
}

fn pattern(text: &str) -> FileMount {
    FileMount::Pattern(text.parse().unwrap())
}

fn placement(source: &str, destination: &str) -> FileMount {
    FileMount::Placement {
        source: relative_path(source).unwrap(),
        destination: guest_path(destination).unwrap(),
    }
}

const SITE: &[&str] = &[
    "site/index.html",
    "site/.nojekyll",
    "site/assets/app.js",
    "site/assets/app.js.map",
    "site/assets/icons/a.svg",
    "other.txt",
];

#[test]
fn files_of_a_pattern_keep_their_relative_path() {
    let folder = Folder::with(SITE);
    assert_eq!(
        folder
            .expand(&[pattern("site/assets/*"), pattern("other.txt")], &[])
            .unwrap(),
        [
            "other.txt -> /other.txt",
            "site/assets/app.js -> /site/assets/app.js",
            "site/assets/app.js.map -> /site/assets/app.js.map",
        ]
    );
    let svgs = ["site/assets/icons/a.svg -> /site/assets/icons/a.svg"];
    assert_eq!(folder.expand(&[pattern("**/*.svg")], &[]).unwrap(), svgs);
    assert_eq!(
        folder.expand(&[pattern("./site/*.html")], &[]).unwrap(),
        ["site/index.html -> /site/index.html"]
    );
    assert!(folder.expand(&[pattern("*.png")], &[]).unwrap().is_empty());
}

#[test]
fn a_placement_mounts_a_file_or_the_contents_of_a_folder() {
    let folder = Folder::with(SITE);
    assert_eq!(
        folder
            .expand(
                &[placement("site", "/"), placement("other.txt", "etc/a.txt")],
                &[]
            )
            .unwrap(),
        [
            "site/.nojekyll -> /.nojekyll",
            "site/assets/app.js -> /assets/app.js",
            "site/assets/app.js.map -> /assets/app.js.map",
            "site/assets/icons/a.svg -> /assets/icons/a.svg",
            "other.txt -> /etc/a.txt",
            "site/index.html -> /index.html",
        ]
    );
    assert_eq!(
        folder
            .expand(&[placement("site/assets/icons", "/x/./y/")], &[])
            .unwrap(),
        ["site/assets/icons/a.svg -> /x/y/a.svg"]
    );
}

#[test]
fn a_star_in_exclude_files_matches_across_folders() {
    let folder = Folder::with(SITE);
    let site = [placement("site", "/")];
    let left = folder.expand(
        &site,
        &["site/*.map", "**/.nojekyll", "site/assets/icons/*"],
    );
    assert_eq!(
        left.unwrap(),
        [
            "site/assets/app.js -> /assets/app.js",
            "site/index.html -> /index.html"
        ]
    );
}

#[test]
fn a_folder_name_with_pattern_characters_is_literal() {
    let folder = Folder::with(&["[ab]/x.txt", "a/y.txt"]);
    assert_eq!(
        folder.expand(&[placement("[ab]", "/")], &[]).unwrap(),
        ["[ab]/x.txt -> /x.txt"]
    );
}

#[test]
fn invalid_mounts_are_errors() {
    let folder = Folder::with(SITE);
    for (mounts, message) in [
        (vec![pattern("site")], "is a folder"),
        (vec![pattern(".")], "is a folder"),
        (vec![pattern("nothing.txt")], "does not exist"),
        (vec![placement("nothing", "/")], "does not exist"),
        (vec![placement("other.txt", "/")], "not a folder"),
        (vec![placement("other.txt", "/etc/")], "not a folder"),
        (
            vec![
                placement("other.txt", "/a"),
                placement("site/index.html", "/a"),
            ],
            "have the same path /a",
        ),
    ] {
        let error = folder.expand(&mounts, &[]).unwrap_err().to_string();
        assert!(error.contains(message), "{mounts:?}: {error}");
    }
    let twice = [pattern("other.txt"), pattern("*.txt")];
    assert_eq!(
        folder.expand(&twice, &[]).unwrap(),
        ["other.txt -> /other.txt"]
    );
}

#[test]
fn paths_outside_of_the_folder_are_errors() {
    for text in ["..", "../x", "a/../../x", "a/..", "/etc/*", ""] {
        assert!(relative_path(text).is_err(), "{text}");
    }
    for text in ["", "..", "/../etc", "/a/../b"] {
        assert!(guest_path(text).is_err(), "{text}");
    }
    for text in ["***", "a**", "[a"] {
        assert!(text.parse::<FilePattern>().is_err(), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_may_point_into_the_folder_but_not_outside() {
    let elsewhere = Folder::with(&["secret.txt"]);
    let folder = Folder::with(SITE);
    let link = |to: &Path, name: &str| {
        std::os::unix::fs::symlink(to, folder.0.path().join(name)).unwrap();
    };
    link(Path::new("other.txt"), "inside.txt");
    link(&elsewhere.0.path().join("secret.txt"), "outside.txt");
    link(elsewhere.0.path(), "outside");
    assert_eq!(
        folder.expand(&[pattern("inside.txt")], &[]).unwrap(),
        ["inside.txt -> /inside.txt"]
    );
    for mount in [
        pattern("outside.txt"),
        pattern("*.txt"),
        placement("outside", "/"),
        placement("outside/secret.txt", "/s"),
    ] {
        let error = folder.expand(&[mount], &[]).unwrap_err();
        assert!(matches!(error, FilesError::LinkOutside(_)), "{error}");
    }
}

//! The files of the repository, and the code in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its path from the top, with slashes.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// The top of the repository.
///
/// # Panics
/// If this crate has moved.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("crates/vrrp-guards")
        .to_owned()
}

/// All text files below `folder`, by path; build results and hidden folders but `.ci` are left out.
///
/// # Panics
/// If the folder cannot be read.
#[must_use]
pub fn files(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root(), &root().join(folder), &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name == "target" || (name.starts_with('.') && name != ".ci") {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            found.push(Source { path, text });
        }
    }
}

/// Rust code without its comments and without the tests at its end.
#[must_use]
pub fn code(text: &str) -> String {
    let product = text
        .split("\n#[cfg(test)]\nmod ")
        .next()
        .unwrap_or_default();
    let lines = product
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_tests_are_no_code() {
        let text = "//! Vrrp2\nlet a = 1; // Vrrp3\n\n#[cfg(test)]\nmod tests {\n    Vrrp2\n}\n";
        assert_eq!(code(text), "\nlet a = 1; \n");
    }

    #[test]
    fn this_file_is_found() {
        assert!(
            files("crates")
                .iter()
                .any(|file| file.path == "crates/vrrp-guards/src/source.rs")
        );
    }
}

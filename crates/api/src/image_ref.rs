//! What a container's `image` may say: a name, perhaps with a tag, perhaps pinned to a digest; or a digest alone.

use std::fmt;

/// The tag a name without one means.
const DEFAULT_TAG: &str = "latest";
/// The longest reference, in bytes (as registries limit names).
const MAX: usize = 255;
const DIGEST_PREFIX: &str = "sha256:";

/// A reference to an image, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRef {
    name: String,
    tag: String,
    digest: Option<String>,
}

impl ImageRef {
    /// Reads `hello`, `hello:1.2`, `example.com/team/hello:1.2`, each perhaps followed by `@sha256:…`; or `sha256:…` alone.
    /// The error says what would be right, to be put after the text.
    pub fn parse(text: &str) -> Result<ImageRef, &'static str> {
        let text = text.trim(); // Kubernetes tolerates blanks around it.
        if text.len() > MAX {
            return Err("must be at most 255 bytes long");
        }
        if is_digest(text) {
            return Ok(ImageRef { name: String::new(), tag: String::new(), digest: Some(text.to_owned()) });
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) if is_digest(digest) => (named, Some(digest.to_owned())),
            Some(_) => return Err("must have `sha256:` and 64 hexadecimal digits after its `@`"),
            None => (text, None),
        };
        // A colon after the last slash begins the tag; one before it belongs to a host's port.
        let path_start = named.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match named[path_start..].split_once(':') {
            Some((last, tag)) => (&named[..path_start + last.len()], tag),
            None => (named, DEFAULT_TAG),
        };
        let is_tag = |tag: &str| {
            let mut bytes = tag.bytes();
            tag.len() <= 128
                && bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let is_component = |component: &str| {
            let edge = |byte: Option<u8>| {
                byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            };
            edge(component.bytes().next())
                && edge(component.bytes().last())
                && component
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
        };
        let mut components = name.split('/');
        let first = components.next().unwrap_or_default();
        let (host, port) = match first.split_once(':') {
            Some((host, port)) => (host, port),
            None => (first, "0"),
        };
        if !is_component(host) || port.parse::<u16>().is_err() || !components.all(is_component) {
            return Err(
                "must be a name such as `hello`, `hello:1.2` or `example.com/team/hello` in lower-case letters, \
                        digits, `.`, `_` and `-`, or `sha256:` and 64 hexadecimal digits; \
                        a path to a file is pushed by `wick apply`, or by `wick image push FILE NAME`",
            );
        }
        if !is_tag(tag) {
            return Err("must have a tag of letters, digits, `.`, `_` and `-` after its `:`");
        }
        Ok(ImageRef { name: name.to_owned(), tag: tag.to_owned(), digest })
    }

    /// Name and tag, as images are found by: `hello` is `hello:latest`. Empty for a digest alone.
    pub fn full_name(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!("{}:{}", self.name, self.tag) }
    }

    /// The digest it is pinned to.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.digest, self.name.is_empty()) {
            (Some(digest), true) => f.write_str(digest),
            (Some(digest), false) => write!(f, "{}:{}@{digest}", self.name, self.tag),
            (None, _) => write!(f, "{}:{}", self.name, self.tag),
        }
    }
}

/// Whether this is `sha256:` and 64 hexadecimal digits.
pub fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix(DIGEST_PREFIX).unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = ImageRef::parse(text).map_or_else(|must| must.to_owned(), |image| image.to_string());
        assert!(found.starts_with(expected), "{text}: {found}");
    }

    #[test]
    fn reads_names_tags_and_digests() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        check("hello", "hello:latest");
        check(" hello:1.2 ", "hello:1.2");
        check("example.com:5000/team/hello", "example.com:5000/team/hello:latest");
        check(&digest, &digest);
        check(&format!("hello@{digest}"), &format!("hello:latest@{digest}"));
    }

    #[test]
    fn says_what_a_reference_must_be() {
        for bad in ["", "Hello", "hello world", "./hello.wasm", "/hello", "a//b", "-a"] {
            check(bad, "must be a name such as `hello`");
        }
        check("hello:", "must have a tag");
        check("a:b:c", "must have a tag");
        check("hello@sha256:12", "must have `sha256:`");
        check(&"a".repeat(256), "must be at most 255");
    }
}

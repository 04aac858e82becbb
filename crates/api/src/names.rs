//! The alphabets of names, labels and their values.
//!
//! Each check answers with what would be right, to be put after the value in a message.

/// The most bytes of a DNS label, of a label's value, and of a label's name without its prefix.
pub const LABEL_MAX: usize = 63;

/// The most bytes of a DNS subdomain.
pub const SUBDOMAIN_MAX: usize = 253;

/// Names of namespaces, containers and volumes: a label of RFC 1123.
pub fn dns_label(text: &str) -> Result<(), &'static str> {
    if text.len() <= LABEL_MAX && is_dns_label(text) {
        Ok(())
    } else {
        Err("must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends")
    }
}

/// Names of most objects: labels of RFC 1123 with dots between them.
pub fn dns_subdomain(text: &str) -> Result<(), &'static str> {
    if text.len() <= SUBDOMAIN_MAX && text.split('.').all(is_dns_label) {
        Ok(())
    } else {
        Err(
            "must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`",
        )
    }
}

/// Keys of labels and annotations: a name, or a subdomain, `/` and a name.
pub fn qualified_name(text: &str) -> Result<(), &'static str> {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            if dns_subdomain(prefix).is_err() {
                return Err("must have a DNS name such as `example.com` before its `/`");
            }
            name
        }
        None => text,
    };
    if !name.is_empty() && name.len() <= LABEL_MAX && is_label_text(name) {
        Ok(())
    } else {
        Err("must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, \
             perhaps after a prefix such as `example.com/`")
    }
}

/// Values of labels; may be empty.
pub fn label_value(text: &str) -> Result<(), &'static str> {
    if text.len() <= LABEL_MAX && (text.is_empty() || is_label_text(text)) {
        Ok(())
    } else {
        Err("must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends")
    }
}

fn is_dns_label(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&str) -> Result<(), &'static str>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(rule(text).is_ok(), "`{text}` should be accepted");
        }
        for text in bad {
            assert!(rule(text).is_err(), "`{text}` should be refused");
        }
    }

    #[test]
    fn knows_dns_labels() {
        check(
            dns_label,
            &["a", "0", "a-b-1", &"x".repeat(63)],
            &["", "-a", "a-", "A", "a.b", "ü", &"x".repeat(64)],
        );
    }

    #[test]
    fn knows_dns_subdomains() {
        check(dns_subdomain, &["a", "a.b-c.d"], &["", ".a", "a..b", "a.-b", "a_b", &"x.".repeat(127)]);
    }

    #[test]
    fn knows_label_keys() {
        check(
            qualified_name,
            &["app", "App_1.x", "batch.kubernetes.io/job-name"],
            &["", "/a", "a/", "a/b/c", "Up/a", "-a", &format!("a/{}", "x".repeat(64))],
        );
    }

    #[test]
    fn knows_label_values() {
        check(label_value, &["", "v1.2", "A_b"], &["-", "a b", "é", &"x".repeat(64)]);
    }
}

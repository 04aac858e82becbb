//! Where each record lies: one tree, kinds by prefix, so that one batch is atomic.

use crate::event::ObjectKey;

/// The engine's own record.
pub(crate) const META: &[u8] = b"m/engine";
/// Jobs, by namespace and name.
pub(crate) const JOBS: &[u8] = b"j/";
/// CronJobs, by namespace and name.
pub(crate) const CRON_JOBS: &[u8] = b"c/";
/// Pods, by namespace and name.
pub(crate) const PODS: &[u8] = b"p/";
/// Images, by name.
pub(crate) const IMAGES: &[u8] = b"i/";
/// The ledger, by number.
pub(crate) const LEDGER: &[u8] = b"l/";
/// How long a key of the ledger is.
pub(crate) const LEDGER_KEY_BYTES: usize = LEDGER.len() + size_of::<u64>();

/// `j/<namespace>/<name>`: neither can contain a slash.
pub(crate) fn object(prefix: &[u8], key: &ObjectKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(prefix.len() + key.namespace.len() + key.name.len() + 1);
    bytes.extend_from_slice(prefix);
    bytes.extend_from_slice(key.namespace.as_bytes());
    bytes.push(b'/');
    bytes.extend_from_slice(key.name.as_bytes());
    bytes
}

/// What [`object`] made.
pub(crate) fn object_key(prefix: &[u8], key: &[u8]) -> Option<ObjectKey> {
    let text = std::str::from_utf8(key.strip_prefix(prefix)?).ok()?;
    let (namespace, name) = text.split_once('/')?;
    Some(ObjectKey::new(namespace, name))
}

/// Every record of a kind, or of a kind in one namespace.
pub(crate) fn range(prefix: &[u8], namespace: &str) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    if !namespace.is_empty() {
        bytes.extend_from_slice(namespace.as_bytes());
        bytes.push(b'/');
    }
    bytes
}

/// `i/<name>`.
pub(crate) fn image(name: &str) -> Vec<u8> {
    [IMAGES, name.as_bytes()].concat()
}

/// `l/` and the number, its highest byte first: the store has them in order.
pub(crate) fn ledger(id: u64) -> Vec<u8> {
    [LEDGER, &id.to_be_bytes()].concat()
}

/// What [`ledger`] made.
pub(crate) fn ledger_id(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.strip_prefix(LEDGER)?.try_into().ok()?))
}

/// A key as people can read it.
pub fn shown(key: &[u8]) -> String {
    match ledger_id(key) {
        Some(id) => format!("l/{id}"),
        None => String::from_utf8_lossy(key).into_owned(),
    }
}

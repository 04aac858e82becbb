//! A CronJob's share of its jitter: so long after each slot its Job starts.
//!
//! It never changes for one device and one name, so that a Job always starts equally late, and a fleet's Jobs do not start
//! all at once. The recipe is fixed for ever: 64-bit FNV-1a over the device's name, 0xff, the namespace, 0xff and the name
//! (0xff is in no UTF-8 text), then the three steps of MurmurHash3's finaliser, because FNV leaves the high bits of similar
//! names alike; the window times that, divided by 2⁶⁴.

use crate::Millis;

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
const SEPARATOR: u8 = 0xff;

/// How long after its slots a CronJob starts its Jobs: from nothing to just below the window.
pub fn splay(device: &str, namespace: &str, name: &str, window: Millis) -> Millis {
    let mut hash = FNV_BASIS;
    let parts = [device.as_bytes(), &[SEPARATOR], namespace.as_bytes(), &[SEPARATOR], name.as_bytes()];
    for byte in parts.into_iter().flatten() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    }
    let window = u128::try_from(window.0).unwrap_or(0);
    Millis(i64::try_from((window * u128::from(stirred(hash))) >> 64).unwrap_or(0))
}

fn stirred(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const MINUTE: Millis = Millis::from_secs(60);

    #[test]
    fn it_is_the_same_for_ever() {
        let shares: Vec<_> =
            [("edge-1", "default", "report"), ("edge-2", "default", "report"), ("edge-1", "ops", "report")]
                .map(|(device, namespace, name)| splay(device, namespace, name, MINUTE).0)
                .into();
        expect!["[11737, 7122, 35510]"].assert_eq(&format!("{shares:?}"));
    }

    #[test]
    fn names_that_run_together_are_told_apart() {
        assert_ne!(splay("a", "bc", "d", MINUTE), splay("a", "b", "cd", MINUTE));
    }

    #[test]
    fn no_window_is_no_splay() {
        for window in [Millis(0), Millis(-5), Millis(1)] {
            assert_eq!(splay("edge-1", "default", "report", window), Millis(0));
        }
        assert!(splay("edge-1", "default", "report", Millis(i64::MAX)).0 >= 0);
    }

    #[test]
    fn shares_are_spread_evenly_over_the_window() {
        let even = |shares: &mut dyn Iterator<Item = Millis>| {
            let mut buckets = [0f64; 100];
            for share in shares {
                buckets[usize::try_from(share.0).unwrap() / 600] += 1.0;
            }
            // The sum of squares of 99 free deviations: above 149 once in a thousand.
            let chi: f64 = buckets.iter().map(|count| (count - 100.0).powi(2) / 100.0).sum();
            assert!(chi < 149.0, "{chi}");
        };
        even(&mut (0..10_000).map(|n| splay("edge-1", "default", &format!("job-{n}"), MINUTE)));
        even(&mut (0..10_000).map(|n| splay(&format!("edge-{n}"), "default", "report", MINUTE)));
    }
}

//! The names of Pods and of CronJobs' Jobs, derived instead of drawn, so that making one twice names the same one.

use jiff::Timestamp;

/// The characters Kubernetes ends generated names with: no vowels and none that look alike.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Kubernetes adds five.
const LENGTH: usize = 5;
/// How many endings there are: 27⁵.
pub const ENDINGS: u64 = 14_348_907;
/// Generated names keep so much of their prefix, that the whole is a DNS label of at most 63.
const PREFIX_MAX: usize = 58;

/// A name that begins with `prefix`, cut to 58 characters, and ends in five more.
///
/// For one `key` no two ordinals below [`ENDINGS`] give the same name: the ordinal is stirred by steps that can each be
/// undone. The Pods of a Job have the prefix `<job>-`, a key from the Job's uid and the order they were made in.
pub fn generate(prefix: &str, key: u64, ordinal: u64) -> String {
    // Names are ASCII once validated; anything else is cut where a character ends.
    let cut = (0..=PREFIX_MAX.min(prefix.len())).rev().find(|at| prefix.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{}", &prefix[..cut], ending(key, ordinal))
}

/// What names of an Indexed Job's Pods begin with: `<job>-<index>-`; of that the Job's part is cut.
pub fn indexed_prefix(job: &str, index: u32) -> String {
    let rest = format!("-{index}-");
    let most = PREFIX_MAX.saturating_sub(rest.len());
    let cut = (0..=most.min(job.len())).rev().find(|at| job.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{rest}", &job[..cut])
}

/// The Job that a slot of a CronJob starts: `<cronjob>-<minutes since 1970>`. Slots of one minute share a name.
pub fn scheduled(cron_job: &str, slot: Timestamp) -> String {
    format!("{cron_job}-{}", slot.as_second().div_euclid(60))
}

fn ending(key: u64, ordinal: u64) -> String {
    // Multiplying by a number without the factor 3 and adding are one-to-one modulo 3¹⁵, and so is moving digits.
    let multiplier = (key % ENDINGS) / 3 * 3 + 1;
    let mut mixed = (ordinal % ENDINGS * multiplier + key.rotate_left(32) % ENDINGS) % ENDINGS;
    let mut digits = [0u8; LENGTH];
    for digit in &mut digits {
        *digit = (mixed % 27) as u8;
        mixed /= 27;
    }
    // Neighbours differ in the low digits only; carried through all, they look unlike each other.
    for i in 1..LENGTH {
        digits[i] = (digits[i] + digits[i - 1] * 5 + 7) % 27;
    }
    digits.iter().map(|digit| ALPHABET[usize::from(*digit)] as char).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn one_job_never_names_two_pods_alike() {
        for key in [0, 1, 2, 3, 0x1234_5678_9abc_def0, u64::MAX] {
            let names: BTreeSet<_> = (0..200_000).map(|ordinal| ending(key, ordinal)).collect();
            assert_eq!(names.len(), 200_000, "key {key}");
        }
    }

    #[test]
    fn a_name_is_a_dns_label_of_its_prefix_and_five_characters() {
        let name = generate("nightly-backup-", 77, 0);
        assert!(name.starts_with("nightly-backup-"));
        assert_eq!(name.len(), "nightly-backup-".len() + 5);
        assert_eq!(generate(&"a".repeat(63), 77, 3).len(), 63);
        assert_eq!(generate("a-", 77, 3), generate("a-", 77, 3));
    }

    #[test]
    fn the_index_stays_whole_in_a_long_name() {
        assert_eq!(indexed_prefix("job", 7), "job-7-");
        let long = indexed_prefix(&"a".repeat(60), 12_345);
        assert_eq!(long, format!("{}-12345-", "a".repeat(51)));
        assert_eq!(generate(&long, 77, 0).len(), 63);
    }
}

//! Amounts such as `500m`, `2`, `128Mi` and `1e3`, as Kubernetes reads and prints them.
//!
//! The value is exact to a billionth, rounded away from zero beyond that, and never larger than 2⁶³ − 1: a larger
//! amount becomes that, as on a cluster. What an amount is of (cores, bytes, instructions) is not known here.

use std::fmt;
use std::str::FromStr;

/// An amount and the way it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// Billionths; at most [`NANOS_MAX`] away from 0.
    nanos: i128,
    format: Format,
}

/// Which suffixes an amount is printed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `n`, `u`, `m`, none, `k`, `M`, …
    Decimal,
    /// `Ki`, `Mi`, `Gi`, …
    Binary,
    /// `e3`, `e6`, …
    Exponent,
}

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no quantity; write a number and perhaps a suffix, as in `500m`, `2`, `128Mi` or `1e3`")]
pub struct QuantityError;

const NANOS: i128 = 1_000_000_000;
const NANOS_MAX: i128 = i64::MAX as i128 * NANOS;

/// Longer texts are no quantities, in bytes: exact arithmetic on them must fit its integers.
const TEXT_MAX: usize = 48;

const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

impl Quantity {
    /// The amount in whole units, rounded away from zero.
    pub fn value(&self) -> i64 {
        saturate(div_away(self.nanos, NANOS))
    }

    /// The amount in thousandths, rounded away from zero; at most 2⁶³ − 1 of them.
    pub fn milli_value(&self) -> i64 {
        saturate(div_away(self.nanos, NANOS / 1000))
    }

    /// Whether it is less than nothing.
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// A number of units, printed with decimal suffixes.
    pub fn units(value: i64) -> Quantity {
        Quantity { nanos: i128::from(value) * NANOS, format: Format::Decimal }
    }

    /// A number of bytes, printed with binary suffixes.
    pub fn bytes(value: i64) -> Quantity {
        Quantity { nanos: i128::from(value) * NANOS, format: Format::Binary }
    }
}

impl PartialOrd for Quantity {
    /// By amount; two that are equal but written differently are neither less nor greater.
    fn partial_cmp(&self, other: &Quantity) -> Option<std::cmp::Ordering> {
        match self.nanos.cmp(&other.nanos) {
            std::cmp::Ordering::Equal if self.format != other.format => None,
            ordering => Some(ordering),
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Quantity, QuantityError> {
        if text.len() > TEXT_MAX || !text.is_ascii() {
            return Err(QuantityError);
        }
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError);
        }
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}").parse::<i128>().map_err(|_| QuantityError)?;
        let decimals = fraction.len() as i32;

        let (nanos, format) = if let Some((_, bits)) = BINARY.iter().find(|(name, _)| *name == suffix) {
            (binary_nanos(digits, decimals, *bits).ok_or(QuantityError)?, Format::Binary)
        } else if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
            (decimal_nanos(digits, exponent - decimals), Format::Decimal)
        } else {
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError)?;
            let exponent = exponent.parse::<i16>().map_err(|_| QuantityError)?;
            (decimal_nanos(digits, i32::from(exponent) - decimals), Format::Exponent)
        };
        let nanos = nanos.min(NANOS_MAX);
        Ok(Quantity { nanos: if negative { -nanos } else { nanos }, format })
    }
}

/// `digits` × 10^`exponent` in billionths; larger than the largest amount when it does not fit.
fn decimal_nanos(digits: i128, exponent: i32) -> i128 {
    let shift = exponent + 9;
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    match power {
        _ if digits == 0 => 0,
        Some(power) if shift >= 0 => digits.checked_mul(power).unwrap_or(i128::MAX),
        Some(power) => div_away(digits, power),
        None if shift >= 0 => i128::MAX,
        None => 1, // Less than a billionth, and yet not nothing.
    }
}

/// `digits` × 2^`bits` / 10^`decimals` in billionths. `None` for more decimals than can be exact.
fn binary_nanos(digits: i128, decimals: i32, bits: u32) -> Option<i128> {
    let Some(scaled) = digits.checked_mul(1 << bits) else {
        return Some(i128::MAX);
    };
    let power = 10_i128.checked_pow(decimals.unsigned_abs())?;
    let whole = (scaled / power).checked_mul(NANOS).unwrap_or(i128::MAX);
    let rest = (scaled % power).checked_mul(NANOS)?;
    Some(whole.saturating_add(div_away(rest, power)))
}

/// Division that rounds away from zero.
fn div_away(dividend: i128, divisor: i128) -> i128 {
    let away = i128::from(dividend % divisor != 0) * dividend.signum();
    dividend / divisor + away
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { -i64::MAX } else { i64::MAX })
}

/// The canonical form: no fraction, the largest suffix that leaves none. Equal amounts of one format look alike.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let small = self.nanos.abs() < 1024 * NANOS;
        match self.format {
            // A fraction of a unit cannot be written with a binary suffix, and few units need none.
            Format::Binary if !small && self.nanos % NANOS == 0 => {
                let mut number = self.nanos / NANOS;
                let mut suffix = "";
                for (name, _) in BINARY {
                    if number % 1024 != 0 {
                        break;
                    }
                    number /= 1024;
                    suffix = name;
                }
                write!(f, "{number}{suffix}")
            }
            Format::Binary | Format::Decimal => {
                let (number, exponent) = self.thousands();
                let suffix = DECIMAL.iter().find(|(_, of)| *of == exponent).map_or("", |(name, _)| name);
                write!(f, "{number}{suffix}")
            }
            Format::Exponent => match self.thousands() {
                (number, 0) => write!(f, "{number}"),
                (number, exponent) => write!(f, "{number}e{exponent}"),
            },
        }
    }
}

impl Quantity {
    /// A whole number and the power of ten, a multiple of three, that it is to be multiplied with.
    fn thousands(&self) -> (i128, i32) {
        let (mut number, mut exponent) = (self.nanos, -9);
        if number == 0 {
            return (0, 0);
        }
        while number % 1000 == 0 && exponent < 18 {
            number /= 1000;
            exponent += 3;
        }
        (number, exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(texts: &[&str], expected: Expect) {
        let lines = texts.iter().map(|text| match text.parse::<Quantity>() {
            Ok(quantity) => {
                let again = quantity.to_string().parse::<Quantity>().unwrap();
                assert_eq!(again.to_string(), quantity.to_string(), "the canonical form stays as it is");
                format!("{text} → {quantity}: {} or {}m\n", quantity.value(), quantity.milli_value())
            }
            Err(error) => format!("{text} {error}\n"),
        });
        expected.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn reads_suffixes_and_prints_the_canonical_form() {
        check(
            &[
                "0",
                "1",
                "100m",
                "1000m",
                "1500m",
                "0.5",
                "1.50",
                ".5",
                "5.",
                "+3",
                "-1.5",
                "1k",
                "129M",
                "128974848",
            ],
            expect![[r#"
                0 → 0: 0 or 0m
                1 → 1: 1 or 1000m
                100m → 100m: 1 or 100m
                1000m → 1: 1 or 1000m
                1500m → 1500m: 2 or 1500m
                0.5 → 500m: 1 or 500m
                1.50 → 1500m: 2 or 1500m
                .5 → 500m: 1 or 500m
                5. → 5: 5 or 5000m
                +3 → 3: 3 or 3000m
                -1.5 → -1500m: -2 or -1500m
                1k → 1k: 1000 or 1000000m
                129M → 129M: 129000000 or 129000000000m
                128974848 → 128974848: 128974848 or 128974848000m
            "#]],
        );
    }

    #[test]
    fn keeps_binary_suffixes_where_nothing_is_lost() {
        check(
            &["123Mi", "1024Mi", "1.5Gi", "0.5Gi", "0.1Gi", "1Ki", "0.5Ki", "7Ei"],
            expect![[r#"
                123Mi → 123Mi: 128974848 or 128974848000m
                1024Mi → 1Gi: 1073741824 or 1073741824000m
                1.5Gi → 1536Mi: 1610612736 or 1610612736000m
                0.5Gi → 512Mi: 536870912 or 536870912000m
                0.1Gi → 107374182400m: 107374183 or 107374182400m
                1Ki → 1Ki: 1024 or 1024000m
                0.5Ki → 512: 512 or 512000m
                7Ei → 7Ei: 8070450532247928832 or 9223372036854775807m
            "#]],
        );
    }

    #[test]
    fn reads_exponents() {
        check(
            &["1e3", "12E6", "1e2", "1.5e3", "1e-3", "1e-20", "5e0", "1E", "2e"],
            expect![[r#"
                1e3 → 1e3: 1000 or 1000000m
                12E6 → 12e6: 12000000 or 12000000000m
                1e2 → 100: 100 or 100000m
                1.5e3 → 1500: 1500 or 1500000m
                1e-3 → 1e-3: 1 or 1m
                1e-20 → 1e-9: 1 or 1m
                5e0 → 5: 5 or 5000m
                1E → 1E: 1000000000000000000 or 9223372036854775807m
                2e is no quantity; write a number and perhaps a suffix, as in `500m`, `2`, `128Mi` or `1e3`
            "#]],
        );
    }

    #[test]
    fn stops_at_the_largest_amount() {
        check(
            &[
                "9223372036854775807",
                "9223372036854775808",
                "8Ei",
                "1e999",
                "-1e40",
                "99999999999999999999999999Ei",
            ],
            expect![[r#"
                9223372036854775807 → 9223372036854775807: 9223372036854775807 or 9223372036854775807m
                9223372036854775808 → 9223372036854775807: 9223372036854775807 or 9223372036854775807m
                8Ei → 9223372036854775807: 9223372036854775807 or 9223372036854775807m
                1e999 → 9223372036854775807: 9223372036854775807 or 9223372036854775807m
                -1e40 → -9223372036854775807: -9223372036854775807 or -9223372036854775807m
                99999999999999999999999999Ei → 9223372036854775807: 9223372036854775807 or 9223372036854775807m
            "#]],
        );
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "", "-", ".", "1..2", "1.2.3", "Mi", "1 Mi", "1mi", "1KI", "1K", "0x10", "1e+-3", "١", "12abc",
            "1ki",
        ] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError), "`{text}`");
        }
        assert!("1".repeat(TEXT_MAX + 1).parse::<Quantity>().is_err());
    }
}

//! Durations and sizes as people write them.

use std::fmt;
use std::time::Duration;

/// Units, the largest first; the last one is 1.
type Units = [(u64, &'static str)];

/// In milliseconds.
const DURATIONS: &Units = &[(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];

/// In bytes.
const SIZES: &Units = &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];

/// Reads `250ms`, `5s`, `2m` or `1h`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, DURATIONS).map(Duration::from_millis)
}

/// Reads `512B`, `64KiB`, `16MiB` or `2GiB` as bytes.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    parse(text, SIZES)
}

/// A count and a unit without sign, fraction or space: there is one way to write a quantity.
fn parse(text: &str, units: &Units) -> Option<u64> {
    let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (factor, _) = units.iter().find(|(_, name)| *name == unit)?;
    count.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Prints a duration as it would be written in a file.
pub(crate) struct ShownDuration(pub(crate) Duration);

impl fmt::Display for ShownDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), DURATIONS)
    }
}

/// Prints a size as it would be written in a file.
pub(crate) struct ShownSize(pub(crate) u64);

impl fmt::Display for ShownSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0, SIZES)
    }
}

/// In the largest unit that leaves no fraction.
fn show(f: &mut fmt::Formatter<'_>, amount: u64, units: &Units) -> fmt::Result {
    let fitting = units.iter().find(|(factor, _)| amount > 0 && amount.is_multiple_of(*factor));
    match fitting.or(units.last()) {
        Some((factor, unit)) => write!(f, "{}{unit}", amount / factor),
        None => write!(f, "{amount}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_count_and_a_unit() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("1h"), Some(Duration::from_secs(3600)));
        for wrong in ["", "5", "s", "-5s", "1.5s", "5 s", "5S", "5sec", "1m30s", "99999999999999999999s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sizes_are_a_count_and_a_binary_unit() {
        assert_eq!(parse_size("512B"), Some(512));
        assert_eq!(parse_size("64KiB"), Some(65_536));
        assert_eq!(parse_size("16MiB"), Some(16_777_216));
        assert_eq!(parse_size("2GiB"), Some(2_147_483_648));
        for wrong in ["", "64", "64KB", "64k", "64 KiB", "1.5MiB", "-1B", "99999999999GiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_written_again() {
        for text in ["250ms", "5s", "2m", "1h", "1500ms"] {
            let read = parse_duration(text).map(|duration| ShownDuration(duration).to_string());
            assert_eq!(read.as_deref(), Some(text));
        }
        for text in ["512B", "64KiB", "16MiB", "2GiB"] {
            let read = parse_size(text).map(|size| ShownSize(size).to_string());
            assert_eq!(read.as_deref(), Some(text));
        }
    }
}

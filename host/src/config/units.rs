//! Durations and sizes as people write them.

use std::time::Duration;

use super::fault::Code;

/// What a key may take as a count and a unit.
pub(crate) trait Quantity: Copy + PartialOrd {
    /// What it is called.
    const KIND: &'static str;
    /// How it is written.
    const EXAMPLES: &'static str;
    /// The code of one that does not parse.
    const FAULT: Code;
    /// Reads it as it is written.
    fn parse(text: &str) -> Option<Self>;
    /// Writes it so that it can be read again.
    fn show(self) -> String;
}

impl Quantity for Duration {
    const KIND: &'static str = "duration";
    const EXAMPLES: &'static str = "250ms, 5s, 2m or 1h";
    const FAULT: Code = Code::InvalidDuration;

    fn parse(text: &str) -> Option<Self> {
        parse(text, DURATIONS).map(Self::from_millis)
    }

    fn show(self) -> String {
        show(u64::try_from(self.as_millis()).unwrap_or(u64::MAX), DURATIONS)
    }
}

/// A duration as it is written in files and on the command line.
///
/// # Errors
/// How durations are written.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text).ok_or_else(|| format!("write a duration as {}", Duration::EXAMPLES))
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

impl Quantity for Bytes {
    const KIND: &'static str = "size";
    const EXAMPLES: &'static str = "512B, 64KiB, 16MiB or 2GiB";
    const FAULT: Code = Code::InvalidSize;

    fn parse(text: &str) -> Option<Self> {
        parse(text, SIZES).map(Self)
    }

    fn show(self) -> String {
        show(self.0, SIZES)
    }
}

/// Units, the largest first; the last one is 1.
type Units = [(u64, &'static str)];

/// In milliseconds.
const DURATIONS: &Units = &[(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];

/// In bytes.
const SIZES: &Units = &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];

/// A count and a unit without sign, fraction or space: there is one way to write a quantity.
fn parse(text: &str, units: &Units) -> Option<u64> {
    let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (factor, _) = units.iter().find(|(_, name)| *name == unit)?;
    count.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that leaves no fraction.
fn show(amount: u64, units: &Units) -> String {
    let fitting = units.iter().find(|(factor, _)| amount > 0 && amount.is_multiple_of(*factor));
    fitting.or(units.last()).map_or_else(|| amount.to_string(), |(factor, unit)| format!("{}{unit}", amount / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_count_and_a_unit() {
        assert_eq!(Duration::parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(Duration::parse("5s"), Some(Duration::from_secs(5)));
        assert_eq!(Duration::parse("2m"), Some(Duration::from_secs(120)));
        assert_eq!(Duration::parse("1h"), Some(Duration::from_secs(3600)));
        for wrong in ["", "5", "s", "-5s", "1.5s", "5 s", "5S", "5sec", "1m30s", "99999999999999999999s"] {
            assert_eq!(Duration::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sizes_are_a_count_and_a_binary_unit() {
        assert_eq!(Bytes::parse("512B"), Some(Bytes(512)));
        assert_eq!(Bytes::parse("64KiB"), Some(Bytes(65_536)));
        assert_eq!(Bytes::parse("16MiB"), Some(Bytes(16_777_216)));
        assert_eq!(Bytes::parse("2GiB"), Some(Bytes(2_147_483_648)));
        for wrong in ["", "64", "64KB", "64k", "64 KiB", "1.5MiB", "-1B", "99999999999GiB"] {
            assert_eq!(Bytes::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_written_again() {
        for text in ["250ms", "5s", "2m", "1h", "1500ms"] {
            let read = Duration::parse(text).map(Duration::show);
            assert_eq!(read.as_deref(), Some(text));
        }
        for text in ["512B", "64KiB", "16MiB", "2GiB"] {
            let read = Bytes::parse(text).map(Bytes::show);
            assert_eq!(read.as_deref(), Some(text));
        }
    }
}

//! Durations and sizes as people write them.

use std::fmt;
use std::time::Duration;

/// Splits `64KiB` into 64 and `KiB`. No sign, no fraction, no space: one way to write a quantity.
fn split(text: &str) -> Option<(u64, &str)> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..unit].parse().ok()?, &text[unit..]))
}

/// Reads `250ms`, `5s`, `2m` or `1h`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (count, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    count.checked_mul(millis).map(Duration::from_millis)
}

/// Reads `512B`, `64KiB`, `16MiB` or `2GiB` as bytes.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (count, unit) = split(text)?;
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    count.checked_mul(bytes)
}

/// Prints a duration as it would be written in a file.
pub(crate) struct ShownDuration(pub(crate) Duration);

impl fmt::Display for ShownDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            _ if millis % 3_600_000 == 0 => write!(f, "{}h", millis / 3_600_000),
            _ if millis % 60_000 == 0 => write!(f, "{}m", millis / 60_000),
            _ if millis % 1_000 == 0 => write!(f, "{}s", millis / 1_000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

/// Prints a size as it would be written in a file.
pub(crate) struct ShownSize(pub(crate) u64);

impl fmt::Display for ShownSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        match bytes {
            0 => f.write_str("0B"),
            _ if bytes % (1 << 30) == 0 => write!(f, "{}GiB", bytes >> 30),
            _ if bytes % (1 << 20) == 0 => write!(f, "{}MiB", bytes >> 20),
            _ if bytes % (1 << 10) == 0 => write!(f, "{}KiB", bytes >> 10),
            _ => write!(f, "{bytes}B"),
        }
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

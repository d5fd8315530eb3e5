//! Wall-clock times as text.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::pricing::At;

/// Appends RFC 3339 in UTC with microseconds, such as `2026-11-22T10:00:00.000123Z`.
pub(super) fn write_rfc3339(at: SystemTime, out: &mut Vec<u8>) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = since.as_secs() % 86_400;
    let (year, month, day) = At::from_unix(since.as_secs()).day.civil();
    for (number, width, after) in [
        (u64::from(year.unsigned_abs()), 4, b'-'),
        (u64::from(month.unsigned_abs()), 2, b'-'),
        (u64::from(day.unsigned_abs()), 2, b'T'),
        (second / 3600, 2, b':'),
        (second / 60 % 60, 2, b':'),
        (second % 60, 2, b'.'),
        (u64::from(since.subsec_micros()), 6, b'Z'),
    ] {
        let mut digits = [b'0'; 6];
        let mut rest = number;
        for digit in digits[..width].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&digits[..width]);
        out.push(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_instants() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000042Z"),
            (951_782_400, "2000-02-29T00:00:00.000042Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000042Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000042Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000042Z"),
        ] {
            let mut out = Vec::new();
            write_rfc3339(UNIX_EPOCH + Duration::new(seconds, 42_000), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}

//! Moments of records, and periods.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::pricing::Day;

const DAY: i64 = 86_400_000_000;

/// A moment in microseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

/// From a moment on, up to another one; either end may be open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    /// The first moment that counts.
    pub since: Option<Moment>,
    /// The first moment that counts no more.
    pub until: Option<Moment>,
}

impl Moment {
    /// Reads RFC 3339: `2026-11-25T10:00:00.000123Z`, `2026-11-25T11:00:00+01:00`.
    pub fn parse(text: &str) -> Option<Self> {
        let (day, time) = (Day::parse(text.get(..10)?)?, text.get(11..)?);
        if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
            return None;
        }
        let (clock, zone) = time.split_at(time.find(['Z', 'z', '+', '-'])?);
        let zone = match zone {
            "Z" | "z" => 0,
            other => {
                let (hour, minute) = other.get(1..)?.split_once(':')?;
                let minutes = number(hour, 2, 23)? * 60 + number(minute, 2, 59)?;
                if other.starts_with('-') { -minutes } else { minutes }
            }
        };
        let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let mut parts = whole.split(':');
        let (hour, minute, second) =
            (number(parts.next()?, 2, 23)?, number(parts.next()?, 2, 59)?, number(parts.next()?, 2, 60)?);
        if parts.next().is_some() {
            return None;
        }
        fraction.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        let kept = fraction.get(..6).unwrap_or(fraction);
        let scale = 10_i64.pow(6 - u32::try_from(kept.len()).ok()?);
        let micros = number(kept, kept.len(), 999_999)? * scale;
        let seconds = i64::from(day.0) * 86_400 + hour * 3600 + (minute - zone) * 60 + second;
        Some(Self(seconds * 1_000_000 + micros))
    }

    /// Reads what people write: a moment, a day (its beginning in UTC), or how long before `now` (`30d`, `12h`, `45m`,
    /// `2w`).
    ///
    /// # Errors
    /// What was expected.
    pub fn told(text: &str, now: Self) -> Result<Self, String> {
        let ago = || {
            let (count, seconds) = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)]
                .into_iter()
                .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
            let count = number(count, count.len(), i64::MAX)?;
            Some(Self(now.0.checked_sub(count.checked_mul(seconds * 1_000_000)?)?))
        };
        let day = || Day::parse(text).map(Self::from);
        ago()
            .or_else(day)
            .or_else(|| Self::parse(text))
            .ok_or_else(|| format!("`{text}` is no moment; write 30d, 12h, 2026-11-01 or 2026-11-01T08:00:00Z"))
    }

    /// The day in UTC.
    pub fn day(self) -> Day {
        Day(i32::try_from(self.0.div_euclid(DAY)).unwrap_or(i32::MAX))
    }

    /// Seconds since 1970, and millionths.
    pub fn seconds(self) -> (i64, i64) {
        (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000))
    }

    /// From `earlier` to this moment; nothing where that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// A number of exactly so many digits, at least one, and of no more than `most`.
fn number(text: &str, digits: usize, most: i64) -> Option<i64> {
    let fits = !text.is_empty() && text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| fits && *n <= most)
}

impl Period {
    /// Whether a moment lies in it.
    pub fn holds(self, at: Moment) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

impl From<Day> for Moment {
    fn from(day: Day) -> Self {
        Self(i64::from(day.0) * DAY)
    }
}

/// RFC 3339 in UTC, with as many decimals of a second as there are.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (second, micros) = (self.0.rem_euclid(DAY) / 1_000_000, self.0.rem_euclid(1_000_000));
        write!(f, "{}T{:02}:{:02}:{:02}", self.day(), second / 3600, second / 60 % 60, second % 60)?;
        if micros > 0 {
            write!(f, ".{micros:06}")?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_records_write_them() {
        for text in ["2026-11-25T19:02:35.123456Z", "1970-01-01T00:00:00Z", "2000-02-29T23:59:59.000001Z"] {
            assert_eq!(Moment::parse(text).map(|at| at.to_string()).as_deref(), Some(text));
        }
        let same = Moment::parse("2026-11-25T10:00:00Z");
        for other in ["2026-11-25T11:30:00+01:30", "2026-11-25 10:00:00.000000000Z", "2026-11-24T23:00:00-11:00"] {
            assert_eq!(Moment::parse(other), same, "{other}");
        }
        assert_eq!(Moment::parse("2026-11-25T10:00:00.5Z").map(|at| at.0 % 1_000_000), Some(500_000));
        for bad in [
            "",
            "2026-11-25",
            "2026-11-25T10:00:00",
            "2026-11-25T10:00Z",
            "2026-11-25T24:00:00Z",
            "2026-13-25T10:00:00Z",
            "2026-11-25T10:00:00.Z",
            "2026-11-25T10:00:00.12x4567Z",
            "2026-11-25T10:00:00.1234567xZ",
            "2026-11-25T10:00:00:00Z",
            "2026-11-25T10:00:00ZZ",
            "2026-11-25T1é:00:00Z",
            "2026-11-25T10:00:00.12345é78Z",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn people_write_how_long_ago() {
        let now = Moment::parse("2026-11-25T10:00:00Z").expect("a moment");
        let told = |text| Moment::told(text, now).map(|at| at.to_string());
        assert_eq!(told("30d").as_deref(), Ok("2026-10-26T10:00:00Z"));
        assert_eq!(told("12h").as_deref(), Ok("2026-11-24T22:00:00Z"));
        assert_eq!(told("2026-11-01").as_deref(), Ok("2026-11-01T00:00:00Z"));
        for bad in ["", "d", "30", "-1d", "1.5d", "yesterday", "99999999999999999d", "3é"] {
            assert!(told(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_period_holds_its_first_moment_and_not_its_last() {
        let period = Period { since: Some(Moment(10)), until: Some(Moment(20)) };
        assert!(period.holds(Moment(10)) && period.holds(Moment(19)));
        assert!(!period.holds(Moment(9)) && !period.holds(Moment(20)));
        assert!(Period::default().holds(Moment(i64::MIN)));
    }
}

//! Days and hours in UTC, as far as prices depend on them.

use std::fmt;
use std::time::{Duration, SystemTime};

const DAY: u64 = 86_400;

/// A day: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

/// A moment as prices see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The day.
    pub day: Day,
    /// Minutes since midnight.
    pub minute: u16,
}

/// A daily window, in minutes since midnight; one that ends before it begins goes over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// Its first minute.
    pub from: u16,
    /// The minute after its last.
    pub to: u16,
}

impl Day {
    /// Reads `2026-11-25`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |part: &str, len: usize| {
            (part.len() == len && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i32>().ok()).flatten()
        };
        let mut parts = text.split('-');
        let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        let made = Self::from_civil(year, month, day);
        // A day that the month does not have would come out as another date.
        (parts.next().is_none() && made.civil() == (year, month, day)).then_some(made)
    }

    /// The first moment of the day, in seconds since 1970; 0 for days before.
    pub fn unix_seconds(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0) * DAY
    }

    /// Days from `earlier` to this one.
    pub fn since(self, earlier: Self) -> i32 {
        self.0 - earlier.0
    }

    /// The first day of its month, and that of the next one.
    pub fn month(self) -> (Self, Self) {
        let (year, month, _) = self.civil();
        let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        (Self::from_civil(year, month, 1), Self::from_civil(next.0, next.1, 1))
    }

    // Proleptic Gregorian calendar in eras of 400 years that begin on 1 March.
    fn from_civil(year: i32, month: i32, day: i32) -> Self {
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        Self(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
    }

    /// Year, month from 1, day from 1.
    pub fn civil(self) -> (i32, i32, i32) {
        let days = self.0 + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * years + years / 4 - years / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (years + era * 400 + i32::from(month <= 2), month, day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl At {
    /// A moment in seconds since 1970.
    pub fn from_unix(seconds: u64) -> Self {
        let day = Day(i32::try_from(seconds / DAY).unwrap_or(i32::MAX));
        // A day has 1,440 minutes.
        Self { day, minute: (seconds % DAY / 60) as u16 }
    }
}

impl From<SystemTime> for At {
    fn from(time: SystemTime) -> Self {
        Self::from_unix(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
    }
}

impl Hours {
    /// Reads `16:30-00:30`.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let minute = |text: &str| {
            let (h, m) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
            let (h, m) = (h.parse::<u16>().ok()?, m.parse::<u16>().ok()?);
            (h < 24 && m < 60).then_some(h * 60 + m)
        };
        let hours = Self { from: minute(from)?, to: minute(to)? };
        (hours.from != hours.to).then_some(hours)
    }

    /// Whether a minute of the day lies in the window.
    pub fn hold(self, minute: u16) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, days) in [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-11-25", 20_782), ("1969-12-31", -1)] {
            assert_eq!(Day::parse(text), Some(Day(days)), "{text}");
            assert_eq!(Day(days).to_string(), text);
        }
        for bad in ["2026-02-29", "2026-13-01", "2026-1-1", "26-01-01", "2026-01-01-", "2026-00-10", "", "2026-01-+1"] {
            assert_eq!(Day::parse(bad), None, "{bad}");
        }
        let months = ["2026-11-25", "2024-02-29", "2026-12-31", "2026-01-01"].map(|text| {
            let (first, next) = Day::parse(text).expect("a day").month();
            format!("{first} {next}")
        });
        assert_eq!(
            months,
            ["2026-11-01 2026-12-01", "2024-02-01 2024-03-01", "2026-12-01 2027-01-01", "2026-01-01 2026-02-01"]
        );
        assert!((-800_000..800_000).all(|d| {
            let (y, m, dd) = Day(d).civil();
            Day::from_civil(y, m, dd) == Day(d)
        }));
    }

    #[test]
    fn windows_may_go_over_midnight() {
        let night = Hours::parse("16:30-00:30").expect("a window");
        assert!(night.hold(16 * 60 + 30) && night.hold(0) && night.hold(29));
        assert!(!night.hold(30) && !night.hold(12 * 60));
        let day = Hours::parse("01:00-04:00").expect("a window");
        assert!(day.hold(60) && day.hold(239) && !day.hold(240) && !day.hold(0));
        assert_eq!(At::from_unix(20_782 * DAY + 3_661), At { day: Day(20_782), minute: 61 });
        for bad in ["24:00-01:00", "1:00-2:00", "01:00", "01:00-01:00", "01:60-02:00"] {
            assert_eq!(Hours::parse(bad), None, "{bad}");
        }
    }
}

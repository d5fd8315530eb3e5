//! Texts with rules of their own (addresses, globs, header names ...): how each is checked, and what the JSON Schema
//! says of it.
//!
//! A field of [`super::file`] names one of the marker types here (`#[schemars(with = "Glob")]`); the schema then
//! carries its `format`, and the checker finds the rule by that word. One table, [`FORMATS`], holds all.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use http::Uri;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::units;

/// One kind of text.
#[derive(Debug)]
pub(super) struct Format {
    /// The word in the schema.
    pub(super) name: &'static str,
    /// What it is, after "wants".
    pub(super) what: &'static str,
    /// Whether it is read into a type of its own, so that a wrong value cannot be taken over as text.
    pub(super) typed: bool,
    /// Whether a wrong value may hold a secret and must not be shown.
    pub(super) discreet: bool,
    /// What is wrong with a text, in particular; an empty string where `what` says it all.
    pub(super) check: fn(&str) -> Result<(), Cow<'static, str>>,
}

/// Every format.
static FORMATS: &[Format] = &[
    Format {
        name: "span",
        what: units::SPAN_HELP,
        typed: true,
        discreet: false,
        check: |t| bare(units::parse_span(t).is_some()),
    },
    Format {
        name: "size",
        what: units::SIZE_HELP,
        typed: true,
        discreet: false,
        check: |t| bare(units::parse_size(t).is_some()),
    },
    Format {
        name: "socket-address",
        what: "an IP address with a port, such as 127.0.0.1:4000 or [::]:4000",
        typed: true,
        discreet: false,
        check: |t| bare(t.parse::<SocketAddr>().is_ok()),
    },
    Format {
        name: "base-url",
        what: "a URL such as https://api.example.com/v1",
        typed: false,
        discreet: true,
        check: |t| url(t, false, true),
    },
    Format {
        name: "proxy-url",
        what: "a URL such as http://proxy.example.com:3128, or `none`",
        typed: false,
        discreet: true,
        check: |t| if t == "none" { Ok(()) } else { url(t, true, false) },
    },
    Format { name: "glob", what: "a name or a glob such as gpt-4*", typed: false, discreet: false, check: glob },
    Format {
        name: "header-name",
        what: "the name of an HTTP header",
        typed: false,
        discreet: false,
        check: |t| bare(http::HeaderName::from_bytes(t.as_bytes()).is_ok()),
    },
    Format {
        name: "header-value",
        what: "the value of an HTTP header: one line of text",
        typed: false,
        discreet: true,
        check: |t| bare(http::HeaderValue::from_str(t).is_ok()),
    },
    Format {
        name: "env-name",
        what: "the name of an environment variable",
        typed: false,
        discreet: true,
        check: env_name,
    },
    Format {
        name: "decimal",
        what: "an amount such as \"0.15\"",
        typed: false,
        discreet: false,
        check: |t| bare(is_decimal(t)),
    },
    Format {
        name: "dollars",
        what: "an amount in dollars such as 0.15, with at most 12 decimals",
        typed: false,
        discreet: false,
        check: |t| bare(is_dollars(t)),
    },
    Format { name: "day", what: "a day such as 2026-07-01", typed: false, discreet: false, check: |t| bare(is_day(t)) },
    Format {
        name: "hours",
        what: "hours in UTC such as 16:30-00:30",
        typed: false,
        discreet: false,
        check: |t| bare(is_hours(t)),
    },
    Format {
        name: "percent",
        what: "a percentage such as 15% or -10%",
        typed: false,
        discreet: false,
        check: |t| bare(t.strip_suffix('%').is_some_and(|n| is_decimal(n.strip_prefix('-').unwrap_or(n)))),
    },
    Format {
        name: "path-prefix",
        what: "the start of a path, such as /openai/v1",
        typed: false,
        discreet: false,
        check: |t| bare(t.starts_with('/') && t.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b))),
    },
    Format {
        name: "path",
        what: "the path of a file",
        typed: false,
        discreet: false,
        check: |t| bare(!t.is_empty() && !t.contains('\0')),
    },
    Format {
        name: "name",
        what: "a name of 1 to 100 visible characters",
        typed: false,
        discreet: false,
        check: |t| bare((1..=100).contains(&t.len()) && t.bytes().all(|b| (b' '..=b'~').contains(&b)) && t.trim() == t),
    },
];

/// The format of that name.
pub(super) fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|f| f.name == name)
}

fn bare(good: bool) -> Result<(), Cow<'static, str>> {
    if good { Ok(()) } else { Err(Cow::Borrowed("")) }
}

fn is_decimal(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    [whole, fraction].iter().all(|d| (1..=12).contains(&d.len()) && d.bytes().all(|b| b.is_ascii_digit()))
}

/// A decimal, with an exponent or not; as small as `pricing` keeps it.
fn is_dollars(text: &str) -> bool {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |d: &str| !d.is_empty() && d.len() <= 12 && d.bytes().all(|b| b.is_ascii_digit());
    let decimals = i32::try_from(fraction.trim_end_matches('0').len()).unwrap_or(i32::MAX);
    let small = |e: i32| (-12..=6).contains(&e) && decimals - e <= 12;
    digits(whole) && digits(fraction) && exponent.parse().is_ok_and(small)
}

fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let digits = |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
    if !(digits(year, 4) && digits(month, 2) && digits(day, 2)) {
        return false;
    }
    let (year, month, day): (u32, u32, u32) =
        (year.parse().unwrap_or(0), month.parse().unwrap_or(0), day.parse().unwrap_or(0));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

fn is_hours(text: &str) -> bool {
    let minute = |text: &str| {
        let (h, m) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
        let (h, m) = (h.parse::<u32>().ok()?, m.parse::<u32>().ok()?);
        (h < 24 && m < 60).then_some(h * 60 + m)
    };
    let Some((from, to)) = text.split_once('-') else { return false };
    minute(from).zip(minute(to)).is_some_and(|(from, to)| from != to)
}

fn env_name(text: &str) -> Result<(), Cow<'static, str>> {
    let mut bytes = text.bytes();
    let good = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good { Ok(()) } else { Err("this is not one: the name of the variable is wanted, not the key itself".into()) }
}

fn glob(text: &str) -> Result<(), Cow<'static, str>> {
    if text.is_empty() {
        return bare(false);
    }
    globset::Glob::new(text).map(drop).map_err(|e| e.kind().to_string().into())
}

/// Checks a URL: `user` allows a user and password, `path` a path.
fn url(text: &str, user: bool, path: bool) -> Result<(), Cow<'static, str>> {
    if !text.contains("://") {
        return Err("the scheme is missing: http:// or https://".into());
    }
    if text.contains('#') {
        return Err("it may not hold a fragment (`#...`)".into());
    }
    let uri: Uri = text.parse().map_err(|e: http::uri::InvalidUri| Cow::Owned(e.to_string()))?;
    match uri.scheme_str() {
        Some("https") if user => return Err("proxies are spoken to by plain http://".into()),
        Some("http" | "https") => {}
        _ => return Err("the scheme must be http:// or https://".into()),
    }
    let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    if !user && authority.contains('@') {
        return Err("it may not hold a user or password: use `credentials`".into());
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    if name.is_empty() || name == "[]" {
        return Err("the host is missing".into());
    }
    if !is_host(name) {
        return Err("the host is no name or address (international names are written in their xn-- form)".into());
    }
    if !uri.path().bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b)) {
        return Err("the path holds characters that must be percent-encoded".into());
    }
    if port.is_some_and(|p| p.parse::<u16>().map_or(true, |p| p == 0)) {
        return Err("the port must be 1 to 65535".into());
    }
    if uri.query().is_some() {
        return Err("it may not hold a query (`?...`)".into());
    }
    if !path && !matches!(uri.path(), "" | "/") {
        return Err("it may not hold a path".into());
    }
    Ok(())
}

/// What the routing table can take apart and a resolver can be asked for.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let label =
        |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let name = host.strip_suffix('.').unwrap_or(host);
    let numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    host.len() <= 253 && name.split('.').all(label) && (!numeric || host.parse::<Ipv4Addr>().is_ok())
}

macro_rules! markers {
    ($($(#[$doc:meta])* $marker:ident = $format:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $marker;

        impl JsonSchema for $marker {
            fn schema_name() -> Cow<'static, str> {
                stringify!($marker).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let what = find($format).map_or("", |f| f.what);
                json_schema!({ "type": "string", "format": $format, "description": what })
            }
        }
    )*};
}

markers! {
    /// `socket-address`
    SocketAddress = "socket-address";
    /// `base-url`
    BaseUrl = "base-url";
    /// `proxy-url`
    ProxyUrl = "proxy-url";
    /// `glob`
    Glob = "glob";
    /// `header-name`
    HeaderName = "header-name";
    /// `header-value`
    HeaderValue = "header-value";
    /// `env-name`
    EnvName = "env-name";
    /// `decimal`
    Decimal = "decimal";
    /// `path-prefix`
    PathPrefix = "path-prefix";
    /// `path`
    FilePath = "path";
    /// `name`
    Name = "name";
}

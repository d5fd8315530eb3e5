//! What values of settings and annotations may be.

use super::pack;

type Checked = Result<(), String>;

/// How calls reach the sidecar.
pub(super) fn mode(text: &str) -> Checked {
    match text {
        "env" => Ok(()),
        "proxy" | "transparent" => Err(format!("`{text}` is not there yet; this version has `env`")),
        _ => Err(format!("`{text}` is no mode; this version has `env`")),
    }
}

/// A reference to an image: one word without the characters that would make it something else.
pub(super) fn image(text: &str) -> Checked {
    if text.is_empty() {
        return Err("the sidecar's image is not given".into());
    }
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@+".contains(&b);
    if text.bytes().all(known) && text.len() <= 512 { Ok(()) } else { Err(format!("`{text}` is no image")) }
}

/// The name of an object such as a Secret: a DNS subdomain (RFC 1123).
pub(super) fn object_name(text: &str) -> Checked {
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(());
    }
    Err(format!("`{text}` cannot be the name of an object: lower case letters, digits, `-` and `.` only"))
}

/// The address of a control plane: its origin alone.
pub(super) fn control(text: &str) -> Checked {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._-:[]".contains(&b);
    match text.strip_prefix("https://") {
        Some(host) if !host.is_empty() && host.bytes().all(known) && !host.starts_with(':') => Ok(()),
        _ => Err(format!("`{text}` is no address such as https://faregate-control.faregate-system.svc:9444")),
    }
}

/// Certificates of authorities, for an address that is given.
pub(super) fn authorities(pem: &str, for_an_address: bool) -> Checked {
    if !for_an_address {
        return Err("is of no use without `control`".into());
    }
    if pem.contains("-----BEGIN CERTIFICATE-----") { Ok(()) } else { Err("holds no PEM certificate".into()) }
}

/// Names of families of clients.
pub(super) fn sdks(names: &[String]) -> Checked {
    let unknown: Vec<&str> = names.iter().map(String::as_str).filter(|name| !pack::all().contains_key(*name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = pack::all().keys().map(String::as_str).collect();
    Err(format!("no variables are known for `{}`; there are {}", unknown.join("`, `"), known.join(", ")))
}

/// One of some words.
pub(super) fn one_of(text: &str, words: &[&str]) -> Checked {
    if words.contains(&text) { Ok(()) } else { Err(format!("`{text}` is none of {}", words.join(", "))) }
}

/// An app's name, as metrics show it. What Kubernetes would expand (`$(...)`) is none.
pub(super) fn app(text: &str) -> Checked {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@ ".contains(&b);
    if (1..=100).contains(&text.len()) && text.bytes().all(known) && text.trim() == text {
        return Ok(());
    }
    Err(format!("`{text}` is no name: 1 to 100 letters, digits, spaces and `._-/:@`"))
}

/// A level or a filter of the log.
pub(super) fn log_level(text: &str) -> Checked {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"_:=,[]{}".contains(&b);
    let level = text.rsplit(['=', ',']).next().unwrap_or_default();
    if text.bytes().all(known) && ["off", "error", "warn", "info", "debug", "trace"].contains(&level) {
        return Ok(());
    }
    Err(format!("`{text}` is no level (error, warn, info, debug) and no filter such as info,faregate::upstream=debug"))
}

/// A further variable of the sidecar.
pub(super) fn variable(name: &str, value: &str) -> Checked {
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || !name.bytes().all(known) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("`{name}` is no name of an environment variable"));
    }
    if name.starts_with("FAREGATE_") || name == "RUST_LOG" {
        return Err(format!("`{name}` is set by the injection itself"));
    }
    if value.contains('\0') { Err(format!("`{name}` holds a zero byte")) } else { Ok(()) }
}

/// A quantity of Kubernetes in thousand-millionths, to be compared with another.
///
/// # Errors
/// What is wrong with it.
pub(super) fn quantity(text: &str) -> Result<u128, String> {
    let bad = || format!("`{text}` is no quantity such as 100m, 0.5, 64Mi");
    let end = text.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u128 = match unit {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => 1_000_000_000,
        "k" => 1_000_000_000_000,
        "M" => 10_u128.pow(15),
        "G" => 10_u128.pow(18),
        "T" => 10_u128.pow(21),
        "Ki" => 1_000_000_000 << 10,
        "Mi" => 1_000_000_000 << 20,
        "Gi" => 1_000_000_000 << 30,
        "Ti" => 1_000_000_000 << 40,
        _ => return Err(bad()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 15 || part.len() > 9 || part.contains('.') || number.ends_with('.') {
        return Err(bad());
    }
    let digits = |digits: &str| if digits.is_empty() { Ok(0) } else { digits.parse::<u128>().map_err(|_| bad()) };
    let scale = 10_u128.pow(u32::try_from(part.len()).unwrap_or(0));
    Ok(digits(whole)? * factor + digits(part)? * factor / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_compared_by_what_they_mean() {
        let q = |text| quantity(text).unwrap();
        assert_eq!(q("1"), q("1000m"));
        assert_eq!(q("0.5"), q("500m"));
        assert_eq!(q("1Gi"), q("1024Mi"));
        assert!(q("1G") < q("1Gi"));
        for bad in ["", "m", "1x", "1.", ".5", "-1", "1.2.3", "1 Mi", "1e3"] {
            assert!(quantity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_what_kubernetes_takes() {
        for good in ["a", "llm-keys", "a.b-c", "0"] {
            assert_eq!(object_name(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a..b", &"a".repeat(254)] {
            assert!(object_name(bad).is_err(), "{bad}");
        }
        assert!(app("team/web 2").is_ok());
        assert!(app("$(HOME)").is_err());
        assert!(log_level("info,faregate::upstream=debug").is_ok());
        assert!(log_level("loud").is_err());
        assert!(mode("proxy").unwrap_err().contains("not there yet"));
        assert!(variable("FAREGATE_APP", "x").is_err());
        assert!(image("a b").is_err());
        for good in ["https://control", "https://control.faregate-system.svc:9444", "https://[::1]:9444"] {
            assert_eq!(control(good), Ok(()), "{good}");
        }
        for bad in ["", "control:9444", "http://control", "https://", "https://:1", "https://a/b", "https://a@b"] {
            assert!(control(bad).is_err(), "{bad}");
        }
        assert!(authorities("x", true).is_err());
    }
}

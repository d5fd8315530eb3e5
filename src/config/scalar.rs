//! What a plain (unquoted) scalar is: YAML 1.2's core schema, section 10.3.2.

/// A plain scalar's type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text,
}

/// Reads a plain scalar.
pub(super) fn read(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Scalar::Text;
    }
    let radix =
        |digits: &str, radix| i128::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['-', '+']));
    let int = match (text.strip_prefix("0x"), text.strip_prefix("0o")) {
        (Some(hex), _) => radix(hex, 16),
        (_, Some(octal)) => radix(octal, 8),
        _ => text.parse().ok(),
    };
    match int {
        Some(int) => Scalar::Int(int),
        // Only digits, one point and an exponent: `1.2.3`, `1e`, `infinity` are text.
        None if unsigned.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b)) => {
            text.parse().map_or(Scalar::Text, Scalar::Float)
        }
        None => Scalar::Text,
    }
}

//! Model names with holes: `*` stands for any run of characters, `#` for one digit. Everything is lower case.

/// A name or a pattern of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern<'a>(pub &'a str);

impl<'a> Pattern<'a> {
    /// Whether it stands for more than one name.
    pub fn is_open(self) -> bool {
        self.0.bytes().any(|b| matches!(b, b'*' | b'#'))
    }

    /// How much of a name it says: of two patterns that fit, the one that says more wins.
    pub fn weight(self) -> usize {
        self.0.bytes().filter(|b| *b != b'*').count()
    }

    /// Whether a name, in lower case, fits. Takes time in proportion to the product of both lengths at most.
    pub fn fits(self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // The last star, and how far the name had been read when it was met.
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(&want) if want == name[n] || (want == b'#' && name[n].is_ascii_digit()) => {
                    p += 1;
                    n += 1;
                }
                _ => match &mut star {
                    // The star takes one more character.
                    Some((at, taken)) => {
                        *taken += 1;
                        (p, n) = (*at + 1, *taken);
                    }
                    None => return false,
                },
            }
        }
        pattern.get(p..).unwrap_or_default().iter().all(|b| *b == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, fits) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o*", "gpt-4o", true),
            ("*sonnet*", "anthropic.claude-sonnet-4", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("m-####-##-##", "m-2026-01-31", true),
            ("m-####-##-##", "m-2026-01-3x", false),
            ("m-#*", "m-9-preview", true),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("*-tts", "gemini-tts", true),
            ("*aab", "aaaab", true),
        ] {
            assert_eq!(Pattern(pattern).fits(name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_stars_takes_no_time() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!Pattern(&pattern).fits(&"a".repeat(5_000)));
    }
}

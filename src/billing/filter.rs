//! Which calls a bill is about.

use super::moment::Period;
use super::record::{Record, Text};
use crate::pricing::Pattern;

/// Which calls count. Of several names of a kind, one must fit.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// When they were accepted.
    pub period: Period,
    /// Who called.
    pub apps: Vec<String>,
    /// Providers by name.
    pub providers: Vec<String>,
    /// Models or patterns of models, in lower case: `*` is any run of characters, `#` one digit.
    pub models: Vec<String>,
}

impl Filter {
    /// Whether a call counts.
    pub fn admits(&self, record: &Record<'_>) -> bool {
        fn text<'r>(text: &'r Option<Text<'_>>) -> Option<&'r str> {
            text.as_ref().map(Text::as_str)
        }
        self.period.holds(record.at) && self.names(text(&record.app), text(&record.provider), text(&record.model))
    }

    /// Whether calls of these names count.
    pub fn names(&self, app: Option<&str>, provider: Option<&str>, model: Option<&str>) -> bool {
        let one_of = |wanted: &[String], name: Option<&str>| {
            wanted.is_empty() || name.is_some_and(|name| wanted.iter().any(|wanted| wanted == name))
        };
        let fits = |model: &str| {
            let model = model.to_lowercase();
            self.models.iter().any(|wanted| Pattern(wanted).fits(&model))
        };
        one_of(&self.apps, app)
            && one_of(&self.providers, provider)
            && (self.models.is_empty() || model.is_some_and(fits))
    }
}

//! Routes that no call reaches, because an earlier one takes all that they would match.
//!
//! Linear for usual tables: a route is compared with those earlier ones only that share a name with it or that match
//! by globs. [`MOST`] bounds what is left.

use std::collections::HashMap;

use globset::GlobMatcher;

use super::super::file::{Api, Config, Match};
use super::{Report, at};

/// Comparisons in all; beyond, routes go unexamined.
const MOST: usize = 200_000;

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    let wants: Vec<Wants<'_>> = config.routes.iter().map(|route| Wants::new(&route.matches)).collect();
    let mut files: HashMap<Key<'_>, Vec<usize>> = HashMap::new();
    let mut broad: Vec<usize> = Vec::new();
    let mut left = MOST;
    for (r, route) in config.routes.iter().enumerate() {
        let want = &wants[r];
        let filed = want.lookups().filter_map(|key| files.get(&key)).flatten();
        let earlier = broad.iter().chain(filed).take(left).copied();
        let mut compared = 0;
        let found = earlier.filter(|e| {
            compared += 1;
            wants[*e].covers(want)
        });
        let first = found.min();
        left -= compared;
        if let Some(first) = first {
            let (name, line) = (&config.routes[first].name, report.line(&at!["routes", first]));
            let message =
                format!("no call gets here: route `{name}` in line {line} takes all that `{}` matches", route.name);
            report.warn(&at!["routes", r], message, "move it before that route, or narrow that route's `match`");
            continue;
        }
        match want.drawers() {
            Some(keys) => keys.into_iter().for_each(|key| files.entry(key).or_default().push(r)),
            None => broad.push(r),
        }
    }
}

/// Where a route is filed: under each app or model that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'a> {
    App(&'a str),
    Model(&'a str),
    Header(&'a str, &'a str),
}

/// What a route matches, ready to be compared.
struct Wants<'a> {
    kinds: u8,
    models: Vec<Words<'a>>,
    apps: Vec<Words<'a>>,
    headers: Vec<(String, &'a str, Words<'a>)>,
    prefix: Option<&'a str>,
}

/// A name or a glob.
struct Words<'a> {
    text: &'a str,
    glob: Option<GlobMatcher>,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        let glob = text.contains(['*', '?', '[', ']', '{', '}', '\\']).then(|| globset::Glob::new(text).ok());
        Self { text, glob: glob.flatten().map(|g| g.compile_matcher()) }
    }

    fn all(texts: &'a [String]) -> Vec<Self> {
        texts.iter().map(|t| Self::new(t)).collect()
    }

    /// What every match of a `text*` glob starts with.
    fn prefix(&self) -> Option<&'a str> {
        self.text.strip_suffix('*').filter(|p| !p.contains(['*', '?', '[', ']', '{', '}', '\\']))
    }

    /// Whether this matches everything that `other` does; unsure counts as no.
    fn covers(&self, other: &Words<'_>) -> bool {
        self.text == other.text
            || match (&self.glob, &other.glob) {
                (Some(glob), None) => glob.is_match(other.text),
                (Some(_), Some(_)) => self.prefix().is_some_and(|prefix| {
                    let end = other.text.find(['*', '?', '[', '{', '\\']).unwrap_or(other.text.len());
                    other.text[..end].starts_with(prefix)
                }),
                (None, _) => false,
            }
    }
}

/// Calls by API; those that are passed unread to a provider in their path count apart.
fn kinds(matches: &Match) -> u8 {
    const UNREAD: u8 = 1 << 6;
    let bit = |api: &Api| match api {
        Api::Chat => 1,
        Api::Responses => 2,
        Api::Completions => 4,
        Api::Embeddings => 8,
        Api::Messages => 16,
        Api::Other => 32 | UNREAD,
    };
    match matches.api.as_slice() {
        [] if matches.path_prefix.is_some() => 63 | UNREAD,
        [] => 63,
        apis => apis.iter().fold(0, |set, api| set | bit(api)),
    }
}

impl<'a> Wants<'a> {
    fn new(matches: &'a Match) -> Self {
        Self {
            kinds: kinds(matches),
            models: Words::all(&matches.model.0),
            apps: Words::all(&matches.app.0),
            headers: matches.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), n.as_str(), Words::new(v))).collect(),
            prefix: matches.path_prefix.as_deref(),
        }
    }

    /// Whether every call that `other` matches is matched by this.
    fn covers(&self, other: &Wants<'_>) -> bool {
        let any = |mine: &[Words<'_>], theirs: &[Words<'_>]| {
            mine.is_empty() || (!theirs.is_empty() && theirs.iter().all(|t| mine.iter().any(|m| m.covers(t))))
        };
        self.kinds & other.kinds == other.kinds
            && any(&self.models, &other.models)
            && any(&self.apps, &other.apps)
            && self.prefix.is_none_or(|mine| other.prefix.is_some_and(|theirs| theirs.starts_with(mine)))
            && self.headers.iter().all(|(name, _, mine)| {
                other.headers.iter().any(|(theirs, _, value)| theirs == name && mine.covers(value))
            })
    }

    /// The names under which a later route that this one covers would look; none where it matches by globs.
    fn drawers(&self) -> Option<Vec<Key<'a>>> {
        let literal = |words: &[Words<'a>]| !words.is_empty() && words.iter().all(|w| w.glob.is_none());
        if literal(&self.apps) {
            return Some(self.apps.iter().map(|w| Key::App(w.text)).collect());
        }
        if literal(&self.models) {
            return Some(self.models.iter().map(|w| Key::Model(w.text)).collect());
        }
        let header = self.headers.iter().find(|(_, _, value)| value.glob.is_none());
        header.map(|(_, name, value)| vec![Key::Header(name, value.text)])
    }

    /// Where those that may cover this one are filed.
    fn lookups(&self) -> impl Iterator<Item = Key<'a>> {
        let app = self.apps.first().map(|w| Key::App(w.text));
        let model = self.models.first().map(|w| Key::Model(w.text));
        let headers = self.headers.iter().map(|(_, name, value)| Key::Header(name, value.text));
        app.into_iter().chain(model).chain(headers)
    }
}

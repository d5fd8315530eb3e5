//! Finds the few routes that may match a call without looking at the others.
//!
//! Each route is filed under one of its conditions, the one that it shares with the fewest other routes: under exact
//! names (a hash map) or under what the names start with (a trie). A call is looked up in every drawer; what comes out
//! is merged in order of the file and checked in full, so that filing decides only the cost, never the answer.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::condition::{Asked, Conditions};
use super::hash::Map;
use super::pattern::Pattern;
use super::trie::Trie;

/// Where routes are filed.
#[derive(Debug, Default)]
pub(super) struct Index {
    models: Drawer,
    apps: Drawer,
    paths: Drawer,
    headers: Vec<(Box<str>, Drawer)>,
    /// Routes without any of these conditions.
    rest: Vec<u32>,
}

#[derive(Debug, Default)]
struct Drawer {
    exact: Map<Box<str>, Box<[u32]>>,
    prefixes: Trie,
}

/// What a route can be filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum By<'a> {
    Model,
    App,
    Header(&'a str),
    Path,
}

type Lists<'i> = SmallVec<[&'i [u32]; 8]>;

/// A place in a drawer: (which drawer, whether exact, the name or prefix).
type Key<'a> = (By<'a>, bool, &'a str);

fn key<'a>(by: By<'a>, pattern: &'a Pattern) -> Key<'a> {
    (by, pattern.literal().is_some(), pattern.prefix())
}

/// Each condition of a route that it could be filed under, with the keys that this takes.
fn conditions(of: &Conditions) -> impl Iterator<Item = SmallVec<[Key<'_>; 4]>> {
    let models = of.models.iter().map(|p| key(By::Model, p)).collect();
    let apps = of.apps.iter().map(|p| key(By::App, p)).collect();
    let headers = of.headers.iter().map(|(name, p)| SmallVec::from_slice(&[key(By::Header(name), p)]));
    let path = of.path_prefix.iter().map(|prefix| (By::Path, false, &**prefix)).collect();
    [models, apps, path].into_iter().chain(headers).filter(|keys: &SmallVec<_>| !keys.is_empty())
}

/// How bad a place these keys are: how many routes share them, then whether each call has to walk a trie for them.
fn cost(keys: &[Key<'_>], crowd: &Map<Key<'_>, u32>) -> (u32, bool) {
    let most = keys.iter().filter_map(|key| crowd.get(key)).max();
    (most.copied().unwrap_or_default(), keys.iter().any(|(_, exact, _)| !exact))
}

impl Index {
    /// Files routes by their conditions, numbered in order of the file.
    pub(super) fn build<'a>(routes: impl Iterator<Item = &'a Conditions> + Clone) -> Self {
        let mut crowd: Map<Key<'_>, u32> = Map::default();
        for key in routes.clone().flat_map(conditions).flatten() {
            *crowd.entry(key).or_default() += 1;
        }
        let mut files: BTreeMap<By<'_>, BTreeMap<(bool, &str), Vec<u32>>> = BTreeMap::new();
        let mut rest = Vec::new();
        for (number, route) in (0u32..).zip(routes) {
            let Some(mut keys) = conditions(route).min_by_key(|keys| cost(keys, &crowd)) else {
                rest.push(number);
                continue;
            };
            keys.sort_unstable();
            keys.dedup();
            for (by, exact, text) in keys {
                files.entry(by).or_default().entry((exact, text)).or_default().push(number);
            }
        }
        let mut index = Self { rest, ..Self::default() };
        for (by, file) in files {
            let drawer = Drawer::build(file);
            match by {
                By::Model => index.models = drawer,
                By::App => index.apps = drawer,
                By::Path => index.paths = drawer,
                By::Header(name) => index.headers.push((name.into(), drawer)),
            }
        }
        index
    }

    /// The first route in order of the file that `holds` is true for, among those that may match.
    pub(super) fn first(&self, asked: &Asked<'_>, mut holds: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut lists = self.lists(asked);
        loop {
            let next = *lists.iter().filter_map(|list| list.first()).min()?;
            if holds(next as usize) {
                return Some(next as usize);
            }
            for list in &mut lists {
                if let [first, later @ ..] = *list
                    && *first == next
                {
                    *list = later;
                }
            }
        }
    }

    fn lists(&self, asked: &Asked<'_>) -> Lists<'_> {
        let mut lists = Lists::new();
        if !self.rest.is_empty() {
            lists.push(&self.rest);
        }
        if let Some(model) = asked.model {
            self.models.find(model, &mut lists);
        }
        self.apps.find(asked.facts.app, &mut lists);
        self.paths.find(asked.facts.path, &mut lists);
        for (name, drawer) in &self.headers {
            if let Some(value) = asked.header(name) {
                drawer.find(value, &mut lists);
            }
        }
        lists
    }
}

impl Drawer {
    fn build(file: BTreeMap<(bool, &str), Vec<u32>>) -> Self {
        let mut prefixes = BTreeMap::new();
        let mut exact = Map::default();
        for ((is_exact, text), routes) in file {
            if is_exact {
                exact.insert(text.into(), routes.into());
            } else {
                prefixes.insert(text, routes);
            }
        }
        Self { exact, prefixes: Trie::build(&prefixes) }
    }

    fn find<'i>(&'i self, name: &str, lists: &mut Lists<'i>) {
        if !self.exact.is_empty()
            && let Some(list) = self.exact.get(name)
        {
            lists.push(list);
        }
        self.prefixes.visit(name, |list| lists.push(list));
    }
}

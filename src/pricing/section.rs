//! The shipped cards of one provider: a text in the binary, indexed when it is first asked for.
//!
//! The index holds names and places, not prices: a card is read when it is resolved, so that a process pays in memory
//! for the providers and models that it uses.

use std::sync::OnceLock;

use super::card::Card;
use super::day::Day;
use super::names::normal_forms;
use super::pattern::Pattern;
use super::text::{self, TextError, statements};

/// The shipped cards of one provider.
pub(super) struct Section {
    pub(super) name: &'static str,
    text: &'static str,
    index: OnceLock<Index>,
}

#[derive(Default)]
struct Index {
    taken: Option<Day>,
    sources: Vec<&'static str>,
    /// Names, sorted, with the place of their block.
    exact: Vec<(&'static str, usize)>,
    /// Patterns, the one that says most first.
    open: Vec<Open>,
    /// Where the blocks begin.
    blocks: Vec<usize>,
}

struct Open {
    pattern: Pattern<'static>,
    except: Box<[Pattern<'static>]>,
    block: usize,
}

impl Section {
    pub(super) const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, index: OnceLock::new() }
    }

    /// The day on which the facts were taken from their source.
    pub(super) fn taken(&self) -> Option<Day> {
        self.index().taken
    }

    /// Where the facts stand.
    pub(super) fn sources(&self) -> &[&'static str] {
        &self.index().sources
    }

    /// The card of a model under any of the forms of its name.
    pub(super) fn find(&self, model: &str) -> Option<Card> {
        let index = self.index();
        let block = normal_forms(model).iter().find_map(|form| index.find(form))?;
        self.read(block).ok()
    }

    /// All cards, in order of the file.
    pub(super) fn cards(&self) -> impl Iterator<Item = Card> {
        self.index().blocks.iter().filter_map(|block| self.read(*block).ok())
    }

    /// Reads everything; for the test that holds the shipped data against the format.
    #[cfg(test)]
    pub(super) fn check(&self) -> Result<usize, TextError> {
        for (_, word, rest) in statements(self.text) {
            match word {
                "taken" => Day::parse(rest).map(drop).ok_or_else(|| TextError::new("no date", rest))?,
                "source" | "names" | "model" | "label" => {}
                "price" => text::price(rest).map(drop)?,
                _ => return Err(TextError::new("there is no such word", word)),
            }
        }
        self.index().blocks.iter().try_fold(0, |n, block| self.read(*block).map(|_| n + 1))
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(self.text))
    }

    /// Reads the block that begins at `at`.
    fn read(&self, at: usize) -> Result<Card, TextError> {
        let mut model = "";
        let mut lines = Vec::new();
        for (_, word, rest) in statements(self.text.get(at..).unwrap_or_default()) {
            match word {
                "model" | "label" if model.is_empty() => model = rest,
                "model" | "label" => break,
                "price" => lines.push(text::price(rest)?),
                _ => {}
            }
        }
        if lines.is_empty() {
            return Err(TextError::new("a model without prices", model));
        }
        let taken = self.taken();
        Ok(Card { provider: self.name.into(), model: model.into(), taken, own: false, lines: lines.into() })
    }
}

impl Index {
    fn of(text: &'static str) -> Self {
        let mut index = Self::default();
        let mut block = 0;
        for (at, word, rest) in statements(text) {
            match word {
                "taken" => index.taken = Day::parse(rest),
                "source" => index.sources.push(rest),
                "model" | "label" => {
                    block = at;
                    index.blocks.push(at);
                    if word == "model" {
                        index.exact.push((rest, at));
                    }
                }
                "names" => index.names(rest, block),
                _ => {}
            }
        }
        index.exact.sort_unstable();
        index.exact.dedup_by_key(|(name, _)| *name);
        index.open.sort_by_key(|open| std::cmp::Reverse(open.pattern.weight()));
        index.exact.shrink_to_fit();
        index.open.shrink_to_fit();
        index.blocks.shrink_to_fit();
        index
    }

    fn names(&mut self, names: &'static str, block: usize) {
        let except: Box<[_]> = names.split(' ').filter_map(|name| name.strip_prefix('!').map(Pattern)).collect();
        for name in names.split(' ').filter(|name| !name.starts_with('!')) {
            let pattern = Pattern(name);
            if pattern.is_open() {
                self.open.push(Open { pattern, except: except.clone(), block });
            } else {
                self.exact.push((name, block));
            }
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        if let Ok(at) = self.exact.binary_search_by_key(&name, |(known, _)| known) {
            return self.exact.get(at).map(|(_, block)| *block);
        }
        let fits = |open: &&Open| open.pattern.fits(name) && !open.except.iter().any(|except| except.fits(name));
        self.open.iter().find(fits).map(|open| open.block)
    }
}

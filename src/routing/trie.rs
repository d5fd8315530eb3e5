//! A compressed trie in flat memory: all stored prefixes of a text are found in one walk down the text, however many
//! prefixes are stored.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Maps prefixes to ascending lists of route numbers.
#[derive(Debug, Default)]
pub(super) struct Trie {
    /// The root first; children of a node stand side by side, in order of their first byte.
    nodes: Vec<Node>,
    /// First byte of each node's label, beside `nodes` so that a search stays within a cache line.
    first: Vec<u8>,
    labels: Vec<u8>,
    routes: Vec<u32>,
}

#[derive(Debug, Default, Clone)]
struct Node {
    label: Range<u32>,
    children: Range<u32>,
    routes: Range<u32>,
}

fn slice<'a, T>(of: &'a [T], range: &Range<u32>) -> &'a [T] {
    &of[range.start as usize..range.end as usize]
}

impl Trie {
    /// Builds the trie of these prefixes.
    pub(super) fn build(prefixes: &BTreeMap<&str, Vec<u32>>) -> Self {
        let mut trie = Self::default();
        if prefixes.is_empty() {
            return trie;
        }
        let keys: Vec<(&[u8], &[u32])> = prefixes.iter().map(|(k, v)| (k.as_bytes(), v.as_slice())).collect();
        trie.push(b"");
        // Each entry: a node whose label has been read up to a depth, and the keys that pass through it.
        let mut open = VecDeque::from([(0, 0, 0..keys.len())]);
        while let Some((node, depth, mut range)) = open.pop_front() {
            if keys[range.start].0.len() == depth {
                let start = trie.routes.len() as u32;
                trie.routes.extend_from_slice(keys[range.start].1);
                trie.nodes[node].routes = start..trie.routes.len() as u32;
                range.start += 1;
            }
            let children = trie.nodes.len() as u32;
            while range.start < range.end {
                let from = range.start;
                let byte = keys[from].0[depth];
                let to = from + keys[from..range.end].partition_point(|(key, _)| key[depth] == byte);
                // Keys are sorted: what the first and the last share, all between them share.
                let shared =
                    keys[from].0[depth..].iter().zip(&keys[to - 1].0[depth..]).take_while(|(a, b)| a == b).count();
                let child = trie.push(&keys[from].0[depth..depth + shared]);
                open.push_back((child, depth + shared, from..to));
                range.start = to;
            }
            trie.nodes[node].children = children..trie.nodes.len() as u32;
        }
        trie
    }

    fn push(&mut self, label: &[u8]) -> usize {
        let start = self.labels.len() as u32;
        self.labels.extend_from_slice(label);
        self.nodes.push(Node { label: start..self.labels.len() as u32, ..Node::default() });
        self.first.push(label.first().copied().unwrap_or_default());
        self.nodes.len() - 1
    }

    /// Shows the list of every stored prefix of `text`, the shortest prefix first.
    pub(super) fn visit<'t>(&'t self, text: &str, mut found: impl FnMut(&'t [u32])) {
        let mut rest = text.as_bytes();
        let mut node = self.nodes.first();
        while let Some(here) = node {
            if !here.routes.is_empty() {
                found(slice(&self.routes, &here.routes));
            }
            let Some(byte) = rest.first() else { return };
            let Some(at) = memchr::memchr(*byte, slice(&self.first, &here.children)) else { return };
            let child = &self.nodes[here.children.start as usize + at];
            let Some(after) = rest.strip_prefix(slice(&self.labels, &child.label)) else { return };
            rest = after;
            node = Some(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_exactly_the_stored_prefixes(keys in prop::collection::btree_set("[ab/]{0,6}", 0..30), text in "[ab/c]{0,8}") {
            let keys: Vec<String> = keys.into_iter().collect();
            let map = keys.iter().enumerate().map(|(i, k)| (k.as_str(), vec![i as u32, 1000 + i as u32])).collect();
            let trie = Trie::build(&map);
            let mut found = Vec::new();
            trie.visit(&text, |list| found.extend_from_slice(list));
            let want: Vec<u32> = keys
                .iter()
                .enumerate()
                .filter(|(_, k)| text.starts_with(k.as_str()))
                .flat_map(|(i, _)| [i as u32, 1000 + i as u32])
                .collect();
            prop_assert_eq!(found, want);
        }
    }
}

//! The last table that was good and the authorities that control has named, in files beside the process (in Kubernetes a
//! volume that lives as long as the pod), so that a process starts as it ran when control is away.
//!
//! A file is replaced whole, by renaming. One that is damaged is none.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::follow::Table;
use super::trust;
use super::{MAX_HASH, MAX_TABLE, MAX_TRUST};

const TABLE: &str = "table";
const TRUST: &str = "trust.pem";
/// The first line of a table's file, with what follows it: hash and checksum of the text.
const MARK: &str = "faregate-table/1";

/// A directory, or nothing where none was given.
#[derive(Debug, Clone)]
pub struct Keeper(Option<PathBuf>);

impl Keeper {
    /// Keeps things in this directory.
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self(directory)
    }

    /// The table that was kept.
    ///
    /// # Errors
    /// There is one, and it cannot be used.
    pub fn table(&self) -> Result<Option<Table>, String> {
        let Some(path) = self.path(TABLE) else { return Ok(None) };
        let failed = |what: &str| format!("{}: {what}", path.display());
        let Some(all) = read(&path, MAX_TABLE).map_err(|error| failed(&error.to_string()))? else { return Ok(None) };
        let damaged = || failed("is damaged, and not used");
        let (head, text) = all.split_once('\n').ok_or_else(damaged)?;
        let mut words = head.split(' ');
        let (mark, hash, sum) = (words.next(), words.next(), words.next());
        let sound = mark == Some(MARK) && sum == Some(&*checksum(text));
        let hash = hash.filter(|hash| sound && !hash.is_empty() && hash.len() <= MAX_HASH).ok_or_else(damaged)?;
        Ok(Some(Table { hash: hash.into(), text: text.into() }))
    }

    /// Keeps a table.
    pub(super) fn keep_table(&self, table: &Table) -> io::Result<()> {
        let text = format!("{MARK} {} {}\n{}", table.hash, checksum(&table.text), table.text);
        self.path(TABLE).map_or(Ok(()), |path| replace(&path, &text))
    }

    /// The authorities that were kept.
    pub(super) fn trust(&self) -> Option<String> {
        let path = self.path(TRUST)?;
        let pem = read(&path, MAX_TRUST).ok()??;
        trust::certificates(&pem).is_ok().then_some(pem)
    }

    /// Keeps authorities.
    pub(super) fn keep_trust(&self, pem: &str) -> io::Result<()> {
        self.path(TRUST).map_or(Ok(()), |path| replace(&path, pem))
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.as_ref()?.join(name))
    }
}

fn checksum(text: &str) -> String {
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}

fn read(path: &Path, most: usize) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(most as u64).read_to_string(&mut text)?;
    Ok(Some(text))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_kept_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(Some(dir.path().to_owned()));
        assert_eq!(keeper.table(), Ok(None));
        let table = Table { hash: "0123456789abcdef".into(), text: "routes: []\nproviders: {}\n".into() };
        keeper.keep_table(&table).unwrap();
        assert_eq!(keeper.table(), Ok(Some(table)));
        let path = dir.path().join(TABLE);
        let whole = fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(keeper.table().is_err(), "cut at {cut}");
        }
        let mut turned = whole;
        *turned.last_mut().unwrap() ^= 1;
        fs::write(&path, turned).unwrap();
        assert!(keeper.table().unwrap_err().contains("damaged"));
        assert_eq!(Keeper::new(None).table(), Ok(None));
    }

    #[test]
    fn authorities_are_kept_if_they_are_some() {
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(Some(dir.path().to_owned()));
        assert_eq!(keeper.trust(), None);
        keeper.keep_trust("nonsense").unwrap();
        assert_eq!(keeper.trust(), None);
        let pem = rcgen::generate_simple_self_signed(vec!["control".to_owned()]).unwrap().cert.pem();
        keeper.keep_trust(&pem).unwrap();
        assert_eq!(keeper.trust(), Some(pem));
    }
}

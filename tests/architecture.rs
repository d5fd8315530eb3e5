//! The walls between modules, which one Cargo package does not keep by itself: who imports whom, who may name Pingora
//! or a vendor, how large a file may grow. The rules stand in `architecture/rules.rs`; start there.
//!
//! Each rule is also held against planted violations, so that a rule that sees nothing fails here.

#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/planted.rs"]
mod planted;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use std::path::Path;

use source::Source;

#[test]
fn the_code_keeps_its_walls() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Source::read_all(&root.join("src"));
    assert!(sources.len() > 100, "only {} files found: is the reader broken?", sources.len());
    let found = rules::violations(&sources, &rules::vendors(root));
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

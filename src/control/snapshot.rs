//! A routing table that is ready to be handed out: checked, compiled once to be sure, named by its hash, compressed.
//!
//! Whoever has a [`Snapshot`] has a table that compiles: there is no other way to make one. Knows nothing of where the
//! text stood (a resource, a ConfigMap) nor of who gets it (`snapshots`).

use std::sync::Arc;

use bytes::Bytes;

use crate::config::{self, Overrides, Place, Problem, Problems, Severity, Surroundings};
use crate::distribution::{ToSidecar, pack};
use crate::routing::RoutingTable;

/// A checked table; clones share it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Names the table: the hash that a process which runs it shows in `faregate_config_info`.
    pub hash: Arc<str>,
    /// The table as a configuration file.
    pub text: Arc<str>,
    /// As it goes to sidecars: compressed and framed, once for all of them.
    pub frame: Bytes,
    /// What its author should know.
    pub warnings: Arc<[Problem]>,
}

impl Snapshot {
    /// Checks a table's text; `source` stands for the file's name in messages. Keys and files that it names are not
    /// looked for: they are the sidecars'. A table that holds a secret itself is refused, since everybody in the cluster
    /// gets it.
    ///
    /// # Errors
    /// Everything that is wrong, with its place, warnings included.
    pub fn compile(text: &str, source: &str) -> Result<Self, Problems> {
        let surroundings = Surroundings {
            env: &|_| Some("there".into()),
            files: false,
            elsewhere: true,
            overrides: Overrides::default(),
        };
        let checked = config::check(text.as_bytes(), source, &surroundings);
        let mut problems = checked.problems;
        refuse_secrets(&mut problems);
        let Some(config) = checked.config.filter(|_| !problems.has_errors()) else { return Err(problems) };
        match RoutingTable::compile(&config, None) {
            Ok(table) => {
                let mut frame = Vec::new();
                ToSidecar::Table { hash: table.hash.clone(), packed: pack(text) }.write(&mut frame);
                Ok(Self {
                    hash: table.hash.into(),
                    text: text.into(),
                    frame: frame.into(),
                    warnings: problems.0.into(),
                })
            }
            // What the checks let through must compile; should it ever not, no sidecar has to find out.
            Err(errors) => {
                problems.0.extend(errors.into_iter().map(|error| Problem {
                    severity: Severity::Error,
                    place: Place { file: source.into(), line: 0, column: 0 },
                    key: error.key,
                    message: error.message,
                    advice: None,
                }));
                Err(problems)
            }
        }
    }
}

/// A secret in the open is a warning in a file of one's own; a table is everybody's.
fn refuse_secrets(problems: &mut Problems) {
    for problem in &mut problems.0 {
        let inline = problem.key.ends_with(".insecure_inline");
        let password = problem.key.ends_with(".proxy") && problem.message.contains("password");
        if inline || password {
            problem.severity = Severity::Error;
            problem.message = "a secret stands in the table, which every sidecar gets".into();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::distribution::{decode, unpack};

    const TABLE: &str = "providers:\n  local: {base_url: \"http://127.0.0.1:1/v1\", credentials: {env: LOCAL_KEY}}\n\
                         routes:\n- {name: r, targets: [{provider: local}]}\n";

    #[test]
    fn a_table_is_named_by_what_it_says_not_by_how() {
        let one = Snapshot::compile(TABLE, "one").unwrap();
        let same = Snapshot::compile(&format!("# a comment\n{TABLE}"), "same").unwrap();
        let other = Snapshot::compile(&TABLE.replace("name: r", "name: s"), "other").unwrap();
        assert_eq!((one.hash.len(), &one.hash), (16, &same.hash));
        assert_ne!(one.hash, other.hash);
        let frame = decode(&mut BytesMut::from(&one.frame[..]), ToSidecar::most).unwrap().unwrap();
        let Ok(ToSidecar::Table { hash, packed }) = ToSidecar::read(frame) else { panic!("a table") };
        assert_eq!((&*hash, unpack(&packed).unwrap()), (&*one.hash, TABLE.to_owned()));
        assert!(one.warnings.is_empty(), "{:?}", one.warnings);
    }

    #[test]
    fn a_bad_table_is_refused_with_every_place() {
        let bad = TABLE.replace("targets", "tragets").replace("base_url: \"http", "base_url: \"htp");
        let problems = Snapshot::compile(&bad, "shop/default").unwrap_err();
        let shown = problems.to_string();
        assert!(shown.contains("shop/default:2:") && shown.contains("shop/default:4:"), "{shown}");
    }

    #[test]
    fn secrets_do_not_travel() {
        for secret in ["credentials: {insecure_inline: sk-1}", "proxy: \"http://user:sk-1@proxy.test:3128\""] {
            let text = TABLE.replace("credentials: {env: LOCAL_KEY}", secret);
            let shown = Snapshot::compile(&text, "t").expect_err(secret).to_string();
            assert!(shown.contains("a secret stands in the table") && !shown.contains("sk-1"), "{shown}");
        }
    }
}

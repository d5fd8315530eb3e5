//! Planted violations: each rule must see its own, and must not see what only looks like one.

use super::rules::violations;
use super::source::Source;

fn found(path: &str, text: &str) -> Vec<String> {
    violations(&[Source::new(path, text)], &["openrouter".to_owned(), "openai".to_owned()])
}

#[track_caller]
fn caught(path: &str, body: &str, what: &str) {
    let found = found(path, &format!("//! Duty.\n{body}\n"));
    assert!(found.iter().any(|f| f.contains(what)), "not seen in {body:?}: {what}; found {found:?}");
}

#[track_caller]
fn clean(path: &str, body: &str) {
    assert_eq!(found(path, &format!("//! Duty.\n{body}\n")), Vec::<String>::new(), "in {body:?}");
}

#[test]
fn forbidden_imports_are_seen_in_every_form() {
    let what = "`dialect` may not import `gateway";
    caught("dialect/a.rs", "use crate::gateway::Gateway;", what);
    caught("dialect/a.rs", "use crate::{chat::Usage, gateway::{self, Live}};", what);
    caught("dialect/a.rs", "use crate::{\n    chat::{Usage, UsageReport as Report},\n    gateway,\n};", what);
    caught("dialect/a.rs", "fn f() { crate::gateway::serve(); }", what);
    caught("dialect/a.rs", "pub use crate::gateway::*;", what);
    caught("dialect/a.rs", "use super::super::gateway::Live;", what);
    caught("dialect/mod.rs", "use super::gateway::Live;", what);
    caught("dialect/deep/a.rs", "fn f(x: super::super::super::gateway::Live) {}", what);
    caught("main.rs", "fn main() { faregate::server::run(); }", "`main` may not import `server::run`");
}

#[test]
fn a_restricted_module_gives_only_the_names_listed() {
    clean("routing/a.rs", "use crate::dialect::{DialectId, Operation};");
    caught("routing/a.rs", "use crate::dialect::{DialectId, scan};", "`routing` may not import `dialect::scan`");
    caught("routing/a.rs", "use crate::dialect::{self, DialectId};", "`routing` may not import `dialect::self`");
    caught("routing/a.rs", "use crate::dialect;", "`routing` may not import `dialect`");
}

#[test]
fn allowed_imports_comments_strings_and_tests_are_left_alone() {
    clean("dialect/a.rs", "use crate::chat::Usage;\nuse super::walk::Walk;\nuse self::deep::X;");
    clean("dialect/deep/a.rs", "use super::super::gateway_like;\n");
    clean("dialect/a.rs", "// crate::gateway::serve, see pingora\n/* use crate::gateway; /* nested */ pingora */");
    clean(
        "dialect/a.rs",
        "const A: &str = \"crate::gateway \\\" crate::server\";\nconst B: &str = r#\"crate::cli \" x\"#;",
    );
    clean("dialect/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::gateway::Live;\n    fn f() { x.unwrap(); }\n}");
    clean("dialect/a/tests.rs", "use crate::gateway::Live;");
    clean("dialect/a.rs", "fn f<'a>(x: &'a str, y: char) -> bool { y == '\"' || y == '\\'' }");
    caught("dialect/a.rs", "#[cfg(test)]\nmod tests {\n}\nuse crate::gateway::Live;", "may not import");
    caught("dialect/a.rs", "const A: char = '\"'; use crate::gateway::Live; // \"", "may not import");
}

#[test]
fn a_module_without_a_row_is_seen() {
    caught("shadow/mod.rs", "", "`shadow` has no row");
}

#[test]
fn pingora_and_vendors_stay_in_their_places() {
    caught("gateway/a.rs", "use pingora_core::protocols::Stream;", "may not name Pingora");
    clean("server/a.rs", "use pingora_core::protocols::Stream;");
    caught("gateway/a.rs", "fn f(name: &str) { if name == \"OpenRouter\" {} }", "names the vendor `openrouter`");
    caught("gateway/a.rs", "fn for_openai() {}", "names the vendor `openai`");
    clean("gateway/a.rs", "// as OpenRouter does\nlet d = DialectId::OpenAi;");
    clean("dialect/openrouter/a.rs", "const NAME: &str = \"openrouter\";");
}

#[test]
fn shape_and_panics_are_seen() {
    caught("gateway/a.rs", &"\n".repeat(400), "lines: one story");
    clean("telemetry/table.rs", &"//! Names.\n".repeat(600));
    assert!(found("gateway/a.rs", "use std::fmt;\n")[0].contains("no `//!` header"));
    caught("gateway/utils.rs", "", "no name for a duty");
    caught("config/types.rs", "", "no name for a duty");
    caught("gateway/utils/mod.rs", "", "no name for a duty");
    caught("config/a.rs", "#[allow(dead_code)]\nfn f() {}", "not `allow`");
    caught("gateway/a.rs", "fn f() { x.unwrap(); }", "`.unwrap()` on the request path");
    caught("http1/a.rs", "fn f() { x.expect(\"so\"); }", "`.expect(` on the request path");
    clean("gateway/a.rs", "fn f() { x.unwrap_or_default(); }");
    clean("config/a.rs", "fn f() { x.expect(\"embedded\"); }");
}

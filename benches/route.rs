//! What it costs to find a call's targets, with 10, 1,000 and 10,000 routes: it stays flat.
//!
//! `cargo bench --bench route`; `-- --quick` for a run that only finds errors.

mod timing;

use std::fmt::Write;
use std::time::Instant;

use faregate::config;
use faregate::dialect::{DialectId, Operation};
use faregate::routing::{CallFacts, HeaderLookup, RoutingTable};

/// The headers of a call; none of them matters to these routes but the tenant's.
struct Tenant(String);

impl HeaderLookup for Tenant {
    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == "x-tenant").then_some(self.0.as_bytes())
    }
}

/// Routes of several kinds in turn, as teams write them, over a few providers.
fn table(routes: usize) -> RoutingTable {
    let mut text = String::from("providers:\n");
    for n in 0..4 {
        let _ = writeln!(text, "  p{n}: {{base_url: \"http://127.0.0.1:{}/v1\", credentials: none}}", 9000 + n);
    }
    text.push_str("routes:\n");
    for n in 0..routes {
        let condition = match n % 4 {
            0 => format!("model: model-{n}"),
            1 => format!("model: family-{n}-*"),
            2 => format!("app: app-{n}, model: gpt-*"),
            _ => format!("headers: {{x-tenant: tenant-{n}}}, model: gpt-*"),
        };
        let _ = writeln!(
            text,
            "  - {{name: r{n}, match: {{{condition}}}, targets: [{{provider: p{}}}, {{provider: p{}, priority: 1}}]}}",
            n % 4,
            (n + 1) % 4
        );
    }
    let config = config::parse(&text, "bench.yaml").unwrap_or_else(|problems| panic!("{problems}"));
    RoutingTable::compile(&config, None).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn main() {
    if !timing::wanted() {
        return;
    }
    let now = Instant::now();
    for (kind, name) in ["exact model", "model glob", "app", "header"].iter().enumerate() {
        for routes in [10, 1_000, 10_000] {
            let table = table(routes);
            // The last route of its kind: whoever looks at one route after the other meets it last.
            let n = (0..routes).rev().find(|n| n % 4 == kind).unwrap_or_default();
            let model = match kind {
                0 => format!("model-{n}"),
                1 => format!("family-{n}-large"),
                _ => "gpt-5".to_owned(),
            };
            let app = format!("app-{n}");
            let headers = Tenant(format!("tenant-{n}"));
            let nobody = Tenant(String::new());
            let asked = model.as_str().into();
            let facts = CallFacts {
                dialect: DialectId::OpenAi,
                operation: Operation::Chat,
                model: Some(&asked),
                path: "/v1/chat/completions",
                vendor: None,
                app: if kind == 2 { &app } else { "unknown" },
                headers: if kind == 3 { &headers } else { &nobody },
                conversation: &|| 0,
                seed: 1,
                now,
            };
            let found = table.select(&facts).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(&*found.route.name, format!("r{n}"), "the wrong route");
            timing::time(&format!("select by {name}, {routes} routes"), || table.select(&facts));
        }
    }
}

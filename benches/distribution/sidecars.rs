//! Thousands of sidecars in one process: the real client code, each with a connection of its own.

use std::io::Read;
use std::sync::{Arc, Mutex};

use faregate::distribution::{Address, Authorities, Control, Keeper, Table, Tables, follow};
use faregate::telemetry::Telemetry;

/// Namespaces that they are spread over.
const NAMESPACES: usize = 50;

#[derive(Default)]
struct Sidecar(Mutex<Option<Arc<str>>>);

impl Tables for Sidecar {
    fn held(&self) -> Option<Arc<str>> {
        self.0.lock().expect("nobody panics").clone()
    }

    async fn take(&self, table: Table, _: bool) -> Result<(), String> {
        *self.0.lock().expect("nobody panics") = Some(table.hash);
        Ok(())
    }
}

pub fn run(arguments: &[String]) {
    let [address, authority, count] = arguments else { panic!("address, authority, count") };
    let dir = std::env::temp_dir().join(format!("faregate-bench-{}", std::process::id()));
    std::fs::create_dir(&dir).expect("a directory");
    let tokens: Vec<_> = (0..NAMESPACES)
        .map(|n| {
            let path = dir.join(format!("token-{n}"));
            std::fs::write(&path, format!("namespace-{n}")).expect("a token");
            path
        })
        .collect();
    let telemetry = Telemetry::new().expect("telemetry");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for n in 0..count.parse().expect("a number") {
        let address = Address::parse(&format!("https://{address}")).expect("an address");
        let (authorities, token) = (Authorities::new(Some(authority)), tokens[n % NAMESPACES].clone());
        let control = Control::new(address, authorities, token, Keeper::new(None), telemetry.clone());
        runtime.spawn(async move { follow(&control, &Sidecar::default()).await });
    }
    println!("{{}}");
    // Until the bench is over, or gone.
    let _over = std::io::stdin().read_to_end(&mut Vec::new());
    let _gone = std::fs::remove_dir_all(dir);
}

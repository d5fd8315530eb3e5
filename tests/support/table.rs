//! The configurations that most tests need.

use std::fmt::Display;
use std::net::SocketAddr;

/// Names of the providers that [`fallback`] defines, in order.
pub const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// Providers `alpha`, `beta`, ... at these addresses, which speak every dialect and have the keys `key-alpha`, ...;
/// one route `all` that tries them in order.
pub fn fallback(addresses: &[SocketAddr]) -> String {
    let mut yaml = String::from("providers:\n");
    for (name, address) in NAMES.iter().zip(addresses) {
        yaml.push_str(&provider(name, address));
    }
    yaml.push_str("routes:\n- name: all\n  targets:\n");
    for name in NAMES.iter().take(addresses.len()) {
        yaml.push_str(&format!("  - provider: {name}\n"));
    }
    yaml
}

/// One provider's entry: every dialect, an inline key.
pub fn provider(name: &str, address: &impl Display) -> String {
    format!(
        "  {name}:\n    endpoints: {{ openai: \"http://{address}/v1\", anthropic: \"http://{address}/v1\" }}\n    \
         credentials: {{ insecure_inline: key-{name} }}\n"
    )
}

/// A configuration with more at its top level.
pub fn with(config: &str, more: &str) -> String {
    format!("{config}{more}\n")
}

/// The same with one worker. Each worker keeps its own connections to providers, so a test that looks for the reuse of
/// one must not have its calls spread over several.
pub fn one_worker(config: &str) -> String {
    with(config, "\nserver: { workers: 1 }")
}

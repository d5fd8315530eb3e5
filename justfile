# Daily commands; `just` lists them.

[private]
default:
    @just --list --unsorted

# Build (release) and run; arguments go to `faregate run`
run *arguments:
    scripts/run {{ arguments }}

# Everything that must pass, or single steps: fmt clippy test deny e2e
test *steps:
    scripts/test {{ steps }}

# Real SDKs against a real model; arguments go to pytest
e2e *arguments:
    scripts/setup test
    cargo test --no-run --test docs
    cargo build --example api_server
    tests/e2e/run {{ arguments }}

# Format, then lint
lint:
    cargo fmt --all
    cargo clippy --all-targets -- -D warnings

# Renew what is generated from the configuration's types: JSON Schema, reference, pinned findings
schema:
    BLESS=1 cargo test --test config

# The program as it is shipped, into target/shipped (twenty minutes)
release:
    scripts/release

# Speed, next to nginx and a direct call
bench *arguments:
    benches/run {{ arguments }}

# How many sidecars one control process carries (minutes; 20,000 open files); arguments: numbers of sidecars
bench-distribution *arguments:
    cargo bench --bench distribution -- {{ arguments }}

# Long checks of a release build: a thousand reloads of ten thousand routes under load (minutes)
soak:
    cargo build --release --bin faregate
    FAREGATE_TEST_BINARY="$(realpath "${CARGO_TARGET_DIR:-target}/release/faregate")" cargo test --test ops_reload_load -- --nocapture

# As CI does it: from a clean clone of the last commit
ci:
    .ci/run

//! The pair of pingora and tokio in `Cargo.lock`: with some pairs the first connection panics. Whatever else breaks,
//! this tells first.

mod support;

use support::{Faregate, Upstream, post, table};

#[test]
fn the_first_connection_answers() {
    let upstream = Upstream::json(200, r#"{"id":"c1","object":"chat.completion","choices":[]}"#);
    let faregate = Faregate::start(&table::fallback(&[upstream.address]));
    let response = post(faregate.api, "/v1/chat/completions", r#"{"model":"m","messages":[]}"#).expect(200);
    assert_eq!(response.text(), r#"{"id":"c1","object":"chat.completion","choices":[]}"#);
    assert_eq!(upstream.request().target, "/v1/chat/completions");
    assert!(!faregate.stderr().contains("panicked"));
    assert_eq!(faregate.only_record()["outcome"], "ok");
}

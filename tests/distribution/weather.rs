//! What control has to bear: strangers, garbage, sidecars that are slow, silent or talkative, too many of them.

use std::time::Duration;

use faregate::control::distribution::{Reviewer, TokenReviewer};
use faregate::distribution::{ToControl, ToSidecar};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::line::{a_moment, ask, connect, connect_narrow, ends, hear, hear_until, let_in, opened, request, say};
use crate::stage::{Stage, to};
use crate::support::{PATIENCE, Upstream};

fn table(name: &str) -> String {
    to(name, &Upstream::json(200, "{}"))
}

/// Waits until this holds.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        a_moment().await;
    }
}

#[tokio::test]
async fn a_table_is_sent_to_who_has_it_not_and_named_to_who_has_it() {
    let stage = Stage::new();
    let control = stage.start();
    let mut line = opened(&stage.authority, control.address, "token", None).await;
    assert_eq!(hear_until(&mut line, |said| !matches!(said, ToSidecar::Ping { .. })).await, ToSidecar::None);
    let first = stage.publish(&table("one"));
    let sent = hear(&mut line).await;
    assert!(matches!(&sent, Some(ToSidecar::Table { hash, .. }) if **hash == *first.hash), "{sent:?}");
    say(&mut line, &ToControl::Ack { hash: first.hash.to_string() }).await;
    until("programmed", || stage.programmed().programmed == 1).await;
    // Others that come with it already are told so.
    let mut other = opened(&stage.authority, control.address, "token", Some(&*first.hash)).await;
    let said = hear_until(&mut other, |said| !matches!(said, ToSidecar::Ping { .. })).await;
    assert_eq!(said, ToSidecar::Keep { hash: first.hash.to_string() });
    // Of two that follow each other at once, the last counts; and back to the first is not sent again to who has it.
    stage.publish(&table("two"));
    let third = stage.publish(&table("three"));
    hear_until(&mut line, |said| matches!(said, ToSidecar::Table { hash, .. } if **hash == *third.hash)).await;
    stage.publish(&table("one"));
    stage.trust.send("pem".into()).unwrap();
    let said = hear_until(&mut other, |said| matches!(said, ToSidecar::Trust { .. })).await;
    assert_eq!(said, ToSidecar::Trust { pem: "pem".into() });
    control.stop();
    let bye = hear_until(&mut line, |said| matches!(said, ToSidecar::Bye { .. })).await;
    assert_eq!(bye, ToSidecar::Bye { reason: "control stops; come again".into() });
    assert_eq!(stage.ended("stopped"), 2);
}

/// Taken back before it was answered: whoever has it by now, or refuses it, must not be told that it has the one before.
#[tokio::test]
async fn a_table_that_is_taken_back_at_once_is_not_taken_for_one_that_nobody_got() {
    let stage = Stage::new();
    let (one, two) = (table("one"), table("two"));
    let first = stage.publish(&one);
    let control = stage.start();
    let mut line = opened(&stage.authority, control.address, "token", Some(&*first.hash)).await;
    hear_until(&mut line, |said| matches!(said, ToSidecar::Keep { .. })).await;
    say(&mut line, &ToControl::Ack { hash: first.hash.to_string() }).await;
    until("programmed", || stage.programmed().programmed == 1).await;
    let of = |said: &ToSidecar| match said {
        ToSidecar::Table { hash, .. } => Some(hash.clone()),
        ToSidecar::Keep { hash } => Some(format!("keep {hash}")),
        _ => None,
    };
    for answer in [true, false] {
        let second = stage.publish(&two);
        let said = hear_until(&mut line, |said| of(said).is_some()).await;
        assert_eq!(of(&said).as_deref(), Some(&*second.hash));
        stage.publish(&one);
        let said = hear_until(&mut line, |said| of(said).is_some()).await;
        assert_eq!(of(&said).as_deref(), Some(&*first.hash));
        let hash = second.hash.to_string();
        let late = if answer { ToControl::Ack { hash } } else { ToControl::Nack { hash, reason: "no".into() } };
        say(&mut line, &late).await;
        say(&mut line, &ToControl::Ack { hash: first.hash.to_string() }).await;
        until("programmed again", || stage.programmed().programmed == 1).await;
    }
    // One that was refused is known not to be there.
    let second = stage.publish(&two);
    hear_until(&mut line, |said| of(said).is_some()).await;
    say(&mut line, &ToControl::Nack { hash: second.hash.to_string(), reason: "no".into() }).await;
    until("refused", || stage.programmed().refused == 1).await;
    stage.publish(&one);
    let said = hear_until(&mut line, |said| of(said).is_some()).await;
    assert_eq!(of(&said), Some(format!("keep {}", first.hash)));
}

#[tokio::test]
async fn who_asks_wrongly_is_told_what_is_wrong() {
    let stage = Stage::new();
    let control = stage.start();
    let good = request("token");
    for (asked, status, why) in [
        (request("unknown"), "401", "nobody knows it"),
        (good.replace("Bearer", "Basic"), "401", "Authorization: Bearer"),
        (good.replace("faregate-tables", "websocket"), "426", "upgrade: faregate-tables/1"),
        (good.replace("/v1/tables", "/"), "404", "GET /v1/tables"),
        (good.replace("GET", "POST"), "404", "GET /v1/tables"),
        (good.replace("host: control\r\n", ""), "400", ""),
        (format!("GET /v1/tables HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(20_000)), "431", ""),
    ] {
        let mut line = connect(&stage.authority, control.address).await.unwrap();
        let answer = ask(&mut line, &asked).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(why), "{answer}");
        ends(&mut line).await;
    }
    assert_eq!((stage.began("denied"), stage.began("accepted")), (1, 0));
    assert_eq!(stage.programmed().connected, 0);
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_nothing_else() {
    let mut stage = Stage::new();
    stage.bounds.arrival = Duration::from_secs(2);
    stage.publish(&table("one"));
    let control = stage.start();
    let mut good = opened(&stage.authority, control.address, "token", None).await;
    // Instead of TLS, and nothing at all.
    let mut plain = TcpStream::connect(control.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let _silent = TcpStream::connect(control.address).await.unwrap();
    // After the token: no hello, too long a frame, garbage, a second hello, and half of a frame.
    let mut seed = 7u32;
    for n in 0..40usize {
        let mut line = opened(&stage.authority, control.address, "token", None).await;
        let mut bytes: Vec<u8> = (0..n * 3)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        // Of a kind that is known, and longer than any may be.
        bytes.extend_from_slice(&[66, 0xff, 0xff, 0xff, 0xff]);
        let _gone = line.send(&bytes).await;
        ends(&mut line).await;
    }
    let mut line = opened(&stage.authority, control.address, "token", None).await;
    say(&mut line, &ToControl::Hello { version: "again".into(), table: None }).await;
    hear_until(&mut line, |said| matches!(said, ToSidecar::Bye { reason } if reason == "a second hello")).await;
    let mut line = opened(&stage.authority, control.address, "token", None).await;
    for _ in 0..100 {
        let mut pong = Vec::new();
        ToControl::Pong.write(&mut pong);
        let _gone = line.send(&pong).await;
    }
    hear_until(&mut line, |said| matches!(said, ToSidecar::Bye { reason } if reason == "too many frames")).await;
    // Frames that nobody knows yet are none of it.
    let mut newer = opened(&stage.authority, control.address, "token", None).await;
    newer.send(&[99, 0, 0, 0, 3, 1, 2, 3]).await.unwrap();
    until("the slow one let go", || stage.began("too_slow") >= 1 && stage.began("tls") >= 1).await;
    let next = stage.publish(&table("two"));
    for line in [&mut good, &mut newer] {
        hear_until(line, |said| matches!(said, ToSidecar::Table { hash, .. } if **hash == *next.hash)).await;
    }
    until("the others gone", || stage.programmed().connected == 2).await;
}

#[tokio::test]
async fn a_sidecar_that_does_not_take_its_table_is_let_go_and_keeps_nobody_waiting() {
    let mut stage = Stage::new();
    (stage.bounds.write, stage.bounds.slowest) = (Duration::from_secs(5), u64::MAX);
    stage.publish(&table("one"));
    let control = stage.start();
    let narrow = connect_narrow(&stage.authority, control.address).await.unwrap();
    let _slow = let_in(narrow, "token", None).await;
    let mut quick = opened(&stage.authority, control.address, "token", None).await;
    until("two", || stage.programmed().connected == 2).await;
    // Larger than what the kernel holds for a connection, and hardly to be compressed.
    let mut large = table("two");
    let mut seed = 1u64;
    while large.len() < 14 << 20 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        large.push_str(&format!(
            "# {seed:016x}{:016x}{:016x}{:016x}\n",
            seed.rotate_left(9) ^ 77,
            seed.rotate_left(31),
            !seed
        ));
    }
    let large = stage.publish(&large);
    hear_until(&mut quick, |said| matches!(said, ToSidecar::Table { hash, .. } if **hash == *large.hash)).await;
    until("the slow one let go", || stage.ended("slow") == 1).await;
    assert_eq!(stage.programmed().connected, 1);
}

#[tokio::test]
async fn a_sidecar_that_is_gone_without_a_word_is_noticed() {
    let mut stage = Stage::new();
    stage.bounds.ping = Duration::from_secs(1);
    let control = stage.start();
    // Open and silent, as after a machine was lost: it neither answers nor closes.
    let _silent = opened(&stage.authority, control.address, "token", None).await;
    let mut alive = opened(&stage.authority, control.address, "token", None).await;
    let deadline = std::time::Instant::now() + PATIENCE;
    while stage.ended("silent") == 0 {
        assert!(std::time::Instant::now() < deadline, "never noticed");
        if matches!(hear(&mut alive).await.expect("alive"), ToSidecar::Ping { .. }) {
            say(&mut alive, &ToControl::Pong).await;
        }
    }
    assert_eq!((stage.ended("silent"), control.distribution.connections()), (1, 1));
}

#[tokio::test]
async fn as_many_as_may_be() {
    let mut stage = Stage::new();
    stage.bounds.connections = 2;
    let control = stage.start();
    let one = opened(&stage.authority, control.address, "token", None).await;
    let _two = opened(&stage.authority, control.address, "token", None).await;
    assert!(connect(&stage.authority, control.address).await.is_err());
    until("one counted", || stage.began("full") == 1).await;
    drop(one);
    until("room", || control.distribution.connections() == 1).await;
    let _three = opened(&stage.authority, control.address, "token", None).await;
}

/// By kube-rs, against what an API server answers.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_reviewed_by_the_api_server() {
    let api = Upstream::start(|peer, request| {
        let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(asked["spec"]["audiences"], serde_json::json!(["faregate.dev/control"]));
        let status = match asked["spec"]["token"].as_str() {
            Some("good") => serde_json::json!({
                "authenticated": true,
                "audiences": ["faregate.dev/control"],
                "user": {
                    "username": "system:serviceaccount:shop:default",
                    "extra": { "authentication.kubernetes.io/pod-name": ["web-1"] },
                },
            }),
            Some("broken") => return peer.json(500, r#"{"kind":"Status","code":500,"message":"etcd is away"}"#),
            _ => serde_json::json!({ "authenticated": false, "error": "token has expired" }),
        };
        let review = serde_json::json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "metadata": {},
            "spec": asked["spec"],
            "status": status,
        });
        peer.json(201, review.to_string());
    });
    let config = kube::Config::new(format!("http://{}", api.address).parse().unwrap());
    let reviewer = TokenReviewer::new(kube::Client::try_from(config).unwrap());
    let good = reviewer.review("good").await.unwrap();
    assert_eq!((good.namespace.as_str(), good.pod.as_deref()), ("shop", Some("web-1")));
    let denied = reviewer.review("bad").await.unwrap_err().to_string();
    assert!(denied.contains("token has expired") && !denied.contains("bad"), "{denied}");
    let unknown = reviewer.review("broken").await.unwrap_err();
    assert!(matches!(unknown, faregate::control::distribution::Refusal::Unavailable(_)), "{unknown}");
    let paths: Vec<String> =
        api.requests().iter().map(|request| request.target.split('?').next().unwrap().to_owned()).collect();
    assert!(paths.iter().all(|path| path == "/apis/authentication.k8s.io/v1/tokenreviews"), "{paths:?}");
}

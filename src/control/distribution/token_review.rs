//! The API server's word on a token (`TokenReview`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::{Api, PostParams};
use serde::Deserialize;

use super::reviews::{Identity, Refusal, Reviewer};
use crate::control::inject::AUDIENCE;

/// What the names of service accounts begin with.
const ACCOUNT: &str = "system:serviceaccount:";
/// Where the API server tells the pod that a token is bound to.
const POD: &str = "authentication.kubernetes.io/pod-name";

/// Asks the API server.
#[derive(Clone)]
pub struct TokenReviewer(Api<TokenReview>);

impl TokenReviewer {
    /// By way of this client, which must be allowed to create `tokenreviews`.
    pub fn new(client: kube::Client) -> Self {
        Self(Api::all(client))
    }
}

#[async_trait]
impl Reviewer for TokenReviewer {
    async fn review(&self, token: &str) -> Result<Identity, Refusal> {
        let spec = TokenReviewSpec { audiences: Some(vec![AUDIENCE.into()]), token: Some(token.into()) };
        let asked = TokenReview { spec, ..TokenReview::default() };
        let answer = self.0.create(&PostParams::default(), &asked).await;
        let answer = answer.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        let status = answer.status.ok_or_else(|| Refusal::Unavailable("a review without a status".into()))?;
        identity(status, token)
    }
}

fn identity(status: TokenReviewStatus, token: &str) -> Result<Identity, Refusal> {
    let denied = |why: &str| Err(Refusal::Denied(why.into()));
    if status.authenticated != Some(true) {
        return match status.error.filter(|error| !error.is_empty()) {
            // It names audiences, times and the like, never the token.
            Some(error) => denied(&format!("the token is not accepted: {error}")),
            None => denied("the token is not accepted"),
        };
    }
    // An API server that knows no audiences takes a token of its own for good.
    if !status.audiences.iter().flatten().any(|audience| audience == AUDIENCE) {
        return denied(&format!("the token is not for the audience {AUDIENCE}"));
    }
    let user = status.user.unwrap_or_default();
    let account = user.username.as_deref().and_then(|name| name.strip_prefix(ACCOUNT));
    let Some((namespace, _)) = account.and_then(|account| account.split_once(':')) else {
        return denied("the token is no service account's");
    };
    let pod = user.extra.as_ref().and_then(|extra| extra.get(POD)?.first().cloned());
    Ok(Identity { namespace: namespace.into(), pod, expires: expiry(token) })
}

/// When a token says that it runs out. Its signature was checked by the API server.
fn expiry(token: &str) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn token(claims: &Value) -> String {
        format!("head.{}.signature", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn verdict(status: Value, claims: &Value) -> Result<Identity, Refusal> {
        identity(serde_json::from_value(status).unwrap(), &token(claims))
    }

    #[test]
    fn namespace_and_pod_are_the_api_servers_word() {
        let status = json!({
            "authenticated": true,
            "audiences": [AUDIENCE],
            "user": { "username": "system:serviceaccount:shop:default", "extra": { POD: ["web-1"] } },
        });
        let expires = UNIX_EPOCH.checked_add(Duration::from_secs(1_800_000_000));
        let expected = Identity { namespace: "shop".into(), pod: Some("web-1".into()), expires };
        assert_eq!(verdict(status.clone(), &json!({ "exp": 1_800_000_000 })), Ok(expected));
        assert_eq!(verdict(status, &json!({})).unwrap().expires, None);
    }

    #[test]
    fn what_is_not_for_us_opens_nothing() {
        let user = json!({ "username": "system:serviceaccount:shop:default" });
        for (status, why) in [
            (json!({}), "not accepted"),
            (json!({ "authenticated": false, "error": "token has expired" }), "token has expired"),
            (json!({ "authenticated": true, "user": user }), "not for the audience"),
            (json!({ "authenticated": true, "audiences": ["https://kubernetes.default"], "user": user }), "audience"),
            (json!({ "authenticated": true, "audiences": [AUDIENCE], "user": { "username": "admin" } }), "no service"),
            (json!({ "authenticated": true, "audiences": [AUDIENCE] }), "no service account"),
        ] {
            let refused = verdict(status, &json!({})).unwrap_err();
            assert!(matches!(&refused, Refusal::Denied(said) if said.contains(why)), "{refused}");
        }
    }
}

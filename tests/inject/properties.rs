//! Pods that nobody thought of.

use std::collections::BTreeMap;

use faregate::control::inject::{Decision, Injector, Namespace, Owner};
use faregate::control::{manifest, patch};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{doubled, lost, settings};

/// Names that matter to injection, and some that do not.
const VARIABLES: [&str; 16] = [
    "OPENAI_BASE_URL",
    "OPENAI_API_BASE",
    "OPENAI_API_KEY",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_API_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GROQ_BASE_URL",
    "CO_API_URL",
    "HTTP_PROXY",
    "NO_PROXY",
    "JAVA_TOOL_OPTIONS",
    "NODE_OPTIONS",
    "OTHER",
];
const NAMES: [&str; 10] =
    ["app", "web", "worker", "istio-proxy", "istio-init", "linkerd-proxy", "logs", "a", "b", "init"];
const VOLUMES: [&str; 6] = ["data", "tmp", "keys", "config", "istio-envoy", "v"];

/// Mostly something, sometimes null, sometimes nothing at all.
fn optional(
    key: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Option<(String, Value)>> {
    prop_oneof![
        4 => value.prop_map(move |value| Some((key.to_owned(), value))),
        1 => Just(Some((key.to_owned(), Value::Null))),
        3 => Just(None),
    ]
    .boxed()
}

fn object(fields: Vec<BoxedStrategy<Option<(String, Value)>>>) -> BoxedStrategy<Value> {
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect())).boxed()
}

fn variable() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            "x",
            "http://127.0.0.1:4000/openai/v1",
            "placeholder-faregate-adds-the-key",
            "$(OTHER)",
            "https://llm.example.com",
            "localhost,127.0.0.1",
            "yes",
            "0644",
            "line\nline\n",
            "\u{85} \"'#: é",
        ])
        .prop_map(|value| json!({ "value": value })),
        Just(json!({ "valueFrom": { "secretKeyRef": { "name": "llm-keys", "key": "k" } } })),
        Just(json!({})),
    ]
}

fn container() -> BoxedStrategy<Value> {
    let env =
        prop::collection::btree_map(prop::sample::select(&VARIABLES[..]), variable(), 0..8).prop_shuffle_entries();
    let mounts = prop::collection::btree_set(prop::sample::select(&VOLUMES[..]), 0..3)
        .prop_map(|names| names.iter().map(|name| json!({ "name": name, "mountPath": format!("/{name}") })).collect());
    object(vec![
        optional("env", env),
        optional(
            "envFrom",
            prop::collection::vec(Just(json!({ "secretRef": { "name": "app" } })), 0..2).prop_map(Value::from),
        ),
        optional("volumeMounts", mounts),
        optional(
            "ports",
            prop::collection::vec((1u16..).prop_map(|p| json!({ "containerPort": p })), 0..3).prop_map(Value::from),
        ),
        optional("ports", Just(json!([{ "containerPort": 4000 }]))),
        optional("securityContext", (1u32..).prop_map(|user| json!({ "runAsUser": user }))),
        optional("resources", Just(json!({ "limits": { "cpu": 1, "memory": "1Gi" } }))),
        optional("restartPolicy", Just(json!("Always"))),
        optional("aFieldOfTheFuture", any::<bool>().prop_map(|b| json!({ "deep": [1, { "b": b }, null] }))),
    ])
}

/// Entries in some order, as `[{name: .., ..}]`.
trait ShuffleEntries {
    fn prop_shuffle_entries(self) -> BoxedStrategy<Value>;
}

impl<S: Strategy<Value = BTreeMap<&'static str, Value>> + 'static> ShuffleEntries for S {
    fn prop_shuffle_entries(self) -> BoxedStrategy<Value> {
        self.prop_map(|entries| entries.into_iter().collect::<Vec<_>>())
            .prop_shuffle()
            .prop_map(|entries| {
                let named = |(name, mut value): (&str, Value)| {
                    value["name"] = json!(name);
                    value
                };
                entries.into_iter().map(named).collect()
            })
            .boxed()
    }
}

fn pod() -> impl Strategy<Value = Value> {
    let all = prop::collection::btree_map(prop::sample::select(&NAMES[..]), container(), 1..6).prop_shuffle_entries();
    let volumes = prop::collection::btree_map(
        prop::sample::select(&VOLUMES[..]),
        prop::sample::select(vec![json!({ "emptyDir": {} }), json!({ "secret": { "secretName": "llm-keys" } })]),
        0..4,
    )
    .prop_shuffle_entries();
    let spec = object(vec![
        optional("volumes", volumes),
        optional(
            "imagePullSecrets",
            prop::sample::select(vec![json!([]), json!([{ "name": "registry" }]), json!([{ "name": "own" }])]),
        ),
        optional("shareProcessNamespace", any::<bool>().prop_map(Value::from)),
        optional("securityContext", Just(json!({ "runAsNonRoot": true }))),
        optional("hostNetwork", Just(json!(false))),
        optional("nodeSelector", Just(json!({ "kubernetes.io/os": "linux" }))),
        optional("aFieldOfTheFuture", any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from)),
    ]);
    let annotations = object(vec![
        optional("kubectl.kubernetes.io/default-container", Just(json!("web"))),
        optional("faregate.dev/sdks", prop::sample::select(vec!["all", "openai", "openai,groq"]).prop_map(Value::from)),
        optional("faregate.dev/credentials-secret", prop::sample::select(vec!["", "other"]).prop_map(Value::from)),
        optional("faregate.dev/config-map", Just(json!("faregate"))),
        optional("faregate.dev/port", (1024u16..4001).prop_map(|port| json!(port.to_string()))),
        optional("faregate.dev/placeholder-keys", any::<bool>().prop_map(|b| json!(b.to_string()))),
        optional("sidecar.istio.io/status", Just(json!("{}"))),
        optional("x/y~z", any::<String>().prop_map(Value::from)),
    ]);
    (all, 0usize..5, spec, annotations, any::<bool>()).prop_map(|(all, inits, mut spec, annotations, labelled)| {
        let mut all = match all {
            Value::Array(all) => all,
            _ => unreachable!(),
        };
        let containers = all.split_off(inits.min(all.len() - 1));
        spec["containers"] = containers.into();
        if !all.is_empty() {
            spec["initContainers"] = all.into();
        }
        // An annotation that is null is none of ours.
        let annotations: Map<String, Value> = match annotations {
            Value::Object(map) => {
                map.into_iter().filter(|(key, v)| !(v.is_null() && key.starts_with("faregate"))).collect()
            }
            _ => unreachable!(),
        };
        let mut metadata = json!({ "annotations": annotations });
        if labelled {
            metadata["labels"] = json!({ "app": "x", "faregate.dev/inject": "true" });
        }
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
    })
}

fn enabled() -> Namespace {
    let labels = [("faregate.dev/inject".to_owned(), "enabled".to_owned())].into();
    Namespace { name: "shop".into(), labels, ..Namespace::default() }
}

fn injected(injector: &Injector, pod: &Value, owner: Option<&Owner>) -> (Value, Vec<String>) {
    match injector.inject(pod, &enabled(), owner) {
        Decision::Inject(injection) => (injection.pod, injection.warnings),
        other => panic!("{other:?} of {pod}"),
    }
}

fn apply(pod: &Value, operations: Vec<Value>) -> Value {
    let mut patched = pod.clone();
    let operations: json_patch::Patch = serde_json::from_value(operations.into()).unwrap();
    json_patch::patch(&mut patched, &operations).unwrap();
    patched
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_pod_keeps_what_it_has_and_is_injected_once(pod in pod(), owned in any::<bool>()) {
        let injector = Injector::new(settings()).unwrap();
        let owner = owned.then(|| Owner { name: "web".into() });
        let (once, warnings) = injected(&injector, &pod, owner.as_ref());
        prop_assert_eq!(lost(&pod, &once, ""), Vec::<String>::new());
        prop_assert_eq!(doubled(&once), Vec::<String>::new());
        let first = &once["spec"]["initContainers"][0];
        prop_assert_eq!(&first["name"], "faregate");
        prop_assert_eq!(&first["restartPolicy"], "Always");

        prop_assert_eq!(apply(&pod, patch::diff(&pod, &once)), once.clone());
        let (again, same) = injected(&injector, &once, owner.as_ref());
        prop_assert_eq!(&again, &once);
        prop_assert_eq!(same, warnings);

        // By way of a manifest, the same pod.
        if pod["metadata"]["labels"].is_object() && !owned {
            let text = serde_json::to_string(&pod).unwrap();
            let outcome = manifest::inject(&text, &injector, "shop", &|_| enabled());
            prop_assert!(outcome.problems.is_empty());
            prop_assert_eq!(&manifest::value(&outcome.text).unwrap(), &once);
            let theirs: Value = serde_yaml::from_str(&outcome.text).unwrap();
            prop_assert_eq!(&theirs, &once);
        }
    }

    /// Settings change, and everything that was injected by the old ones is as if it had never been.
    #[test]
    fn new_settings_replace_what_the_old_ones_put_there(pod in pod()) {
        let old = Injector::new(settings()).unwrap();
        let mut newer = settings();
        newer.port = 4999;
        newer.sdks = vec!["openai".into(), "cohere".into()];
        newer.image = "registry.example.com/faregate:2".into();
        newer.credentials_secret = Some("newer".into());
        let newer = Injector::new(newer).unwrap();
        let (first, _) = injected(&old, &pod, None);
        let (upgraded, _) = injected(&newer, &first, None);
        let (direct, _) = injected(&newer, &pod, None);
        prop_assert_eq!(lost(&pod, &upgraded, ""), Vec::<String>::new());
        // Lists that the first injection made may stay, empty.
        prop_assert_eq!(without_order(&upgraded), without_order(&direct));
        prop_assert_eq!(doubled(&upgraded), Vec::<String>::new());
    }

    /// Whatever text comes, it is read or refused; where nothing is injected, it comes out as it came in.
    #[test]
    fn no_text_is_too_odd(text in r##"([-a-z:{}\[\]&*!|>'"#%@?,.<~= \n\t\r\u{feff}\u{85}0-9]|---\n|kind: Pod\n|apiVersion: v1\n){0,60}"##) {
        let injector = Injector::new(settings()).unwrap();
        let outcome = manifest::inject(&text, &injector, "shop", &|_| enabled());
        if outcome.problems.is_empty() && !outcome.workloads.iter().any(|w| matches!(w.fate, manifest::Fate::Injected(_))) {
            prop_assert_eq!(outcome.text, text);
        }
    }

    /// Whatever comes, a decision is made.
    #[test]
    fn no_pod_is_too_odd(metadata in odd(), spec in odd()) {
        let injector = Injector::new(settings()).unwrap();
        let _decided = injector.inject(&json!({ "metadata": metadata, "spec": spec }), &enabled(), None);
        let text = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }).to_string();
        let _outcome = manifest::inject(&text, &injector, "shop", &|_| enabled());
        let _outcome = manifest::inject(&text[..text.len() / 2], &injector, "shop", &|_| enabled());
    }
}

/// Anything under the names that injection looks at.
fn odd() -> impl Strategy<Value = Value> {
    let keys = vec![
        "name",
        "labels",
        "annotations",
        "containers",
        "initContainers",
        "volumes",
        "env",
        "envFrom",
        "volumeMounts",
        "ports",
        "faregate.dev/inject",
        "faregate.dev/status",
        "ownerReferences",
        "securityContext",
        "runAsUser",
        "imagePullSecrets",
        "os",
        "nodeSelector",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec!["true", "app", "faregate", "windows", "{}"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(keys.clone()), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    })
}

/// A pod whose lists of variables and volumes are in order of their names, null and empty lists left out.
fn without_order(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let spec = pod["spec"].as_object_mut().unwrap();
    sort(spec, "volumes");
    sort(spec, "imagePullSecrets");
    for key in ["initContainers", "containers"] {
        for container in spec.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            sort(container.as_object_mut().unwrap(), "env");
        }
    }
    pod
}

fn sort(object: &mut Map<String, Value>, key: &str) {
    match object.get_mut(key) {
        Some(Value::Array(list)) if !list.is_empty() => list.sort_by_key(|item| item["name"].to_string()),
        _ => {
            object.remove(key);
        }
    }
}

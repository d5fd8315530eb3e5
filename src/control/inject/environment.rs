//! The variables of the pod's own containers: base URLs that lead to the sidecar, placeholders for keys.
//!
//! What a container sets itself stays. What an earlier injection set is renewed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::annotations::Plan;
use super::pack::{PLACEHOLDER, Sdk};
use super::pod::{self, Pod};
use super::sidecar::SIDECAR;
use super::status::{self, Status};

/// Containers of service meshes, which call no model.
const MESHES: [&str; 6] =
    ["istio-init", "istio-proxy", "istio-validation", "linkerd-init", "linkerd-network-validator", "linkerd-proxy"];

/// Whether a container's variables are set.
pub(super) fn is_chosen(plan: &Plan, name: &str) -> bool {
    match &plan.containers {
        _ if name == SIDECAR => false,
        Some(chosen) => chosen.iter().any(|chosen| chosen == name),
        None => !MESHES.contains(&name),
    }
}

/// The base URLs that containers get.
pub(super) fn base_urls(plan: &Plan) -> BTreeMap<String, String> {
    let address = format!("http://127.0.0.1:{}", plan.settings.port);
    let of = |sdk: &'static Sdk| sdk.base_urls.iter();
    plan.settings.families().flat_map(of).map(|(name, path)| (name.clone(), format!("{address}{path}"))).collect()
}

/// All variables that containers may get.
pub(super) fn pack(plan: &Plan) -> BTreeMap<String, String> {
    let mut all = base_urls(plan);
    if plan.settings.placeholder_keys {
        let first = |sdk: &'static Sdk| sdk.keys.first();
        all.extend(plan.settings.families().filter_map(first).map(|key| (key.clone(), PLACEHOLDER.to_owned())));
    }
    all
}

/// Sets the variables of every chosen container.
pub(super) fn set(pod: &mut Pod, plan: &Plan, before: &Status) {
    for container in pod.containers_mut() {
        let name = pod::container(container).to_owned();
        if name == SIDECAR {
            continue;
        }
        let wanted = if is_chosen(plan, &name) { wanted(container, plan, before) } else { BTreeMap::new() };
        let ours = |variable: &Value| before.set(&name, variable);
        renew(container, &wanted, &ours);
    }
}

/// The users' own variables that look like ours, by container.
pub(super) fn kept(pod: &Pod, plan: &Plan, before: &Status) -> BTreeMap<String, BTreeSet<String>> {
    let of = |container| {
        let name = pod::container(container);
        let own = pod::variables(container).filter(|variable| !before.set(name, variable));
        let alike = own.filter(|variable| status::looks_like_ours(variable, plan.settings.port));
        let kept: BTreeSet<_> = alike.map(|variable| pod::name(variable).to_owned()).collect();
        (name != SIDECAR && !kept.is_empty()).then(|| (name.to_owned(), kept))
    };
    pod.containers().filter_map(of).collect()
}

/// What a container gets, of what it does not set itself.
fn wanted(container: &Map<String, Value>, plan: &Plan, before: &Status) -> BTreeMap<String, String> {
    let name = pod::container(container);
    let own: Vec<&str> =
        pod::variables(container).filter(|variable| !before.set(name, variable)).map(pod::name).collect();
    let mut wanted = base_urls(plan);
    if plan.settings.placeholder_keys && takes_placeholders(container, plan) {
        for sdk in plan.settings.families() {
            if let Some(key) = sdk.keys.first()
                && !sdk.keys.iter().any(|key| own.contains(&key.as_str()))
            {
                wanted.insert(key.clone(), PLACEHOLDER.to_owned());
            }
        }
    }
    wanted.retain(|name, _| !own.contains(&name.as_str()));
    wanted
}

/// A key that comes by `envFrom` cannot be seen, and a placeholder would win over it: no harm only where the sidecar
/// puts its own key in its place.
pub(super) fn takes_placeholders(container: &Map<String, Value>, plan: &Plan) -> bool {
    !has_env_from(container) || plan.settings.credentials_secret.is_some()
}

/// Whether a container takes variables that cannot be seen here.
pub(super) fn has_env_from(container: &Map<String, Value>) -> bool {
    container.get("envFrom").and_then(Value::as_array).is_some_and(|sources| !sources.is_empty())
}

/// Makes our variables the wanted ones: kept in their places, taken out, added at the end.
fn renew(container: &mut Map<String, Value>, wanted: &BTreeMap<String, String>, ours: &dyn Fn(&Value) -> bool) {
    if wanted.is_empty() && !pod::variables(container).any(ours) {
        return;
    }
    let variables = pod::list_of(container, "env");
    variables.retain(|variable| !ours(variable) || wanted.contains_key(pod::name(variable)));
    for (name, value) in wanted {
        match variables.iter_mut().find(|variable| pod::name(variable) == name) {
            Some(variable) => variable["value"] = json!(value),
            None => variables.push(json!({ "name": name, "value": value })),
        }
    }
    if variables.is_empty() {
        container.remove("env");
    }
}

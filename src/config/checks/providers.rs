//! Providers: presets, addresses, keys, TLS, the simulated one.

use std::net::IpAddr;

use super::super::file::{AuthScheme, ClientTls, Config, Credentials, DialectName, HttpVersion, Provider, Simulate};
use super::super::presets::{Preset, Presets};
use super::super::resolve;
use super::{Report, Step, at, credentials, files, headers, urls, words};

/// First segments of API paths: a provider of such a name would catch calls that are meant for nobody in particular.
const PATHS: &[&str] = &[
    "api",
    "assistants",
    "audio",
    "batches",
    "chat",
    "completions",
    "containers",
    "conversations",
    "deployments",
    "embeddings",
    "engines",
    "evals",
    "files",
    "fine_tuning",
    "images",
    "messages",
    "models",
    "moderations",
    "organization",
    "realtime",
    "rerank",
    "responses",
    "skills",
    "threads",
    "uploads",
    "vector_stores",
    "videos",
];

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    if config.providers.is_empty() {
        let advice = "add `providers:`, such as {openai: {}}; without --config, every provider whose key is in the \
                      environment is on";
        report.error(&at!["providers"], "there are no providers: no call can go anywhere", advice);
    }
    for (name, provider) in &config.providers {
        let path = at!["providers", name];
        let preset = resolve::preset_of(name, provider);
        called(report, config, &path, name, preset.map(|(preset, _)| preset));
        // A preset that does not exist is told of by `references`; the rest would repeat it.
        if preset.is_some() || provider.preset.is_none() {
            one(report, &path, name, provider, preset);
        }
    }
}

fn called(report: &mut Report<'_, '_>, config: &Config, path: &[Step<'_>], name: &str, preset: Option<&str>) {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if name.is_empty() || name.len() > 100 || !name.bytes().all(good) {
        let advice = "names are parts of paths (`/NAME/v1/...`): use letters, digits, `-`, `_` and `.`";
        return report.error(path, "this is no name for a provider", advice);
    }
    let version =
        name.strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()) && name.len() <= 10);
    if version || PATHS.contains(&name) {
        let message = format!("`{name}` is a part of API paths: calls to `/{name}/...` would all go to this provider");
        return report.error(path, message, "give the provider another name");
    }
    // Another preset's name, while a provider of that preset is here too.
    let Some((other, _)) = Presets::builtin().find(name).filter(|(other, _)| preset != Some(other)) else { return };
    let of_preset = |(n, p): &(&String, &Provider)| resolve::preset_of(n, p).is_some_and(|(p, _)| p == other);
    if let Some((rival, _)) = config.providers.iter().find(of_preset) {
        let message = format!("is called like the preset of provider `{rival}`: `/{name}/...` goes here, not there");
        report.warn(path, message, "give the provider another name");
    }
}

type Found = Option<(&'static str, &'static Preset)>;

fn one(report: &mut Report<'_, '_>, path: &[Step<'_>], name: &str, provider: &Provider, preset: Found) {
    let at_preset = at![path; "preset"];
    if let Some((preset, reason)) = preset.and_then(|(name, p)| Some((name, p.unsupported.as_ref()?))) {
        let note = Presets::builtin().find(preset).and_then(|(_, p)| p.note.clone()).unwrap_or_default();
        let spot = if provider.preset.is_some() { at_preset.as_slice() } else { path };
        return report.error(spot, format!("preset `{preset}` cannot work yet: {reason}"), note);
    }
    let preset_facts = preset.map(|(_, preset)| preset);
    let simulated = preset_facts.is_some_and(|p| p.simulated);
    simulate(report, path, provider, simulated);
    if simulated {
        return;
    }
    let endpoints = resolve::endpoints(provider, preset_facts);
    if endpoints.is_empty() {
        return nowhere(report, path, name, preset);
    }
    urls::check(report, path, provider, preset_facts);
    keys(report, path, provider, preset);
    headers::of_provider(report, &at![path; "headers"], &provider.headers);
    let encrypted = endpoints.values().any(|url| is_https(url));
    if provider.http == Some(HttpVersion::Http2) && endpoints.values().any(|url| !is_https(url)) {
        let advice = "use an https:// URL, or leave `http` out";
        report.error(&at![path; "http"], "HTTP/2 is spoken over TLS only, and the base URL is http://", advice);
    }
    if let Some(tls) = &provider.tls {
        self::tls(report, &at![path; "tls"], tls, encrypted);
    }
    if let Some(AuthScheme::Header(header)) = &provider.auth
        && header.eq_ignore_ascii_case("authorization")
    {
        let message = "sends the bare key as `Authorization: KEY`";
        report.warn(&at![path; "auth"], message, "most want `auth: bearer` (`Authorization: Bearer KEY`)");
    }
    if provider.router_metadata == Some(true) && preset_facts.is_none_or(|p| p.router_metadata.is_none()) {
        let asks = Presets::builtin().iter().filter(|(_, p)| p.router_metadata.is_some()).map(|(name, _)| name);
        let advice = format!("leave it out; these presets can be asked: {}", words(asks));
        report.error(&at![path; "router_metadata"], "nobody knows how to ask this provider", advice);
    }
    if let Some(models) = &provider.models
        && models.is_empty()
        && preset_facts.is_some_and(|p| !p.models.is_empty())
    {
        report.warn(&at![path; "models"], "an empty list takes the preset's models away", "leave it out to keep them");
    }
}

fn nowhere(report: &mut Report<'_, '_>, path: &[Step<'_>], name: &str, preset: Found) {
    if let Some((preset, form)) = preset.and_then(|(name, p)| Some((name, p.base_url.as_ref()?))) {
        let message = format!("preset `{preset}` has no address of its own: `base_url` is missing");
        return report.error(path, message, format!("such as `base_url: {form}`"));
    }
    let near = super::super::advice::nearest(name, Presets::builtin().iter().map(|(name, _)| name));
    let advice = match near {
        Some(near) => format!("set `base_url`, or did you mean `preset: {near}`?"),
        None => "set `base_url`, or `preset` to one that has it (`faregate presets` lists them)".into(),
    };
    report.error(path, "where is it? `base_url` is missing, and no preset has this name", advice);
}

fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
}

fn keys(report: &mut Report<'_, '_>, path: &[Step<'_>], provider: &Provider, preset: Found) {
    match (&provider.credentials, preset) {
        (Some(Credentials::Secret(source)), _) => {
            let path = at![path; "credentials"];
            credentials::source(report, &path, source);
            exposed(report, path.as_slice(), provider, preset.map(|(_, p)| p));
        }
        (None, Some((_, preset)))
            if !preset.keyless
                && !report.surroundings.elsewhere
                && preset.key_variable(report.surroundings.env).is_none() =>
        {
            let variables = words(preset.env.iter().map(String::as_str));
            report.warn(
                path,
                format!("no key: {variables} is not set, so only clients that bring their own key get answers"),
                "set it, or name where the key stands: `credentials: {env: MY_API_KEY}`",
            );
        }
        _ => {}
    }
}

/// A key that crosses the internet unencrypted.
fn exposed(report: &mut Report<'_, '_>, path: &[Step<'_>], provider: &Provider, preset: Option<&Preset>) {
    let endpoints = resolve::endpoints(provider, preset);
    let public = endpoints.values().find_map(|url| {
        let host = urls::host(url).filter(|_| !is_https(url))?;
        is_public(host).then(|| host.to_owned())
    });
    if let Some(host) = public {
        report.warn(path, format!("the key goes to {host} unencrypted"), "use an https:// base URL");
    }
}

fn is_public(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.octets()[0] == 100),
        Ok(IpAddr::V6(ip)) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
        Err(_) => {
            let own = ["localhost", "local", "internal", "svc", "lan", "home", "test", "invalid", "intranet"];
            let last = bare.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
            bare.contains('.') && !own.iter().any(|tld| tld.eq_ignore_ascii_case(last))
        }
    }
}

fn tls(report: &mut Report<'_, '_>, path: &[Step<'_>], tls: &ClientTls, encrypted: bool) {
    if !encrypted {
        report.warn(path, "has no effect: the base URL is http://", "use an https:// base URL, or take `tls` out");
    }
    if let Some(ca) = &tls.ca {
        files::roots(report, &at![path; "ca"], ca);
    }
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => files::certificate_and_key(report, path, certificate, key),
        (Some(_), None) => report.error(&at![path; "certificate"], "a client certificate needs its `key`", ""),
        (None, Some(_)) => report.error(&at![path; "key"], "a client key needs its `certificate`", ""),
        (None, None) => {}
    }
    if let Some(name) = &tls.server_name
        && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
    {
        report.error(
            &at![path; "server_name"],
            "this is neither a host name nor an address",
            "such as api.example.com",
        );
    }
}

fn simulate(report: &mut Report<'_, '_>, path: &[Step<'_>], provider: &Provider, simulated: bool) {
    let settings_at = at![path; "simulate"];
    if !simulated {
        if provider.simulate.is_some() {
            let message = "is for the built-in simulated provider; this one is real";
            let name = Presets::builtin().simulated().unwrap_or_default();
            report.error(&settings_at, message, format!("set `preset: {name}`, or take it out"));
        }
        return;
    }
    let idle = [
        ("base_url", provider.base_url.is_some()),
        ("endpoints", !provider.endpoints.is_empty()),
        ("credentials", matches!(provider.credentials, Some(Credentials::Secret(_)))),
        ("tls", provider.tls.is_some()),
        ("http", provider.http.is_some()),
        ("proxy", provider.proxy.is_some()),
        ("dialect", provider.dialect.is_some_and(|d| d != DialectName::Openai)),
    ];
    for (key, _) in idle.iter().filter(|(_, given)| *given) {
        report.warn(&at![path; *key], "has no effect: the simulated provider is in this process", "take it out");
    }
    let Some(settings) = &provider.simulate else { return };
    let standard = Simulate::default();
    if settings.error_status != standard.error_status && settings.error_rate == 0.0 {
        let advice = "set `error_rate`, such as 0.1";
        report.warn(&at![settings_at; "error_status"], "has no effect: no call fails", advice);
    }
    let prices = [("input_price", &settings.input_price), ("output_price", &settings.output_price)];
    for (key, price) in prices {
        let path = at![settings_at; key];
        if price.as_ref().and_then(|p| p.split_once('.')).is_some_and(|(_, places)| places.len() > 6) {
            report.error(&path, "a price has at most six places after the point", "");
        }
        let other = prices.iter().find(|(other, price)| *other != key && price.is_none());
        if let (Some(_), Some((other, _))) = (price, other) {
            report.warn(&path, format!("without `{other}` those tokens cost nothing"), format!("set `{other}` too"));
        }
    }
}

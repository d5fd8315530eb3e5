//! The cases, and the rounds of each: direct, nginx and Faregate in turn, so that a change of the machine's mood hits
//! all of them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::Plan;
use super::load::{self, Driven, Request};
use super::process::Proxy;
use super::report::{self, Row};
use super::upstream;

/// Runs every case that is wanted and prints it.
pub fn run(plan: &Plan) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let upstream = upstream::start()?;
    if plan.train {
        return train(plan, upstream);
    }
    report::intro(plan);
    if plan.wants("start") {
        starts(plan, upstream)?;
    }
    let proxies = Proxies {
        upstream,
        nginx: Proxy::nginx(dir.path(), upstream, plan.workers)?,
        faregate: Proxy::faregate(&plan.faregate, dir.path(), upstream, plan.workers)?,
    };
    if plan.wants("memory") {
        // What is resident before the first call.
        report::memory("memory, idle", proxies.nginx.memory()?, proxies.faregate.memory()?);
    }
    for (kind, stream) in [("json", false), ("stream", true)] {
        let request = Request::chat(stream, None);
        for &connections in &plan.connections {
            let name = format!("{kind}, {connections} connections");
            proxies
                .case(plan, &name, stream, |address| load::closed_loop(address, connections, plan.window, &request))?;
        }
    }
    let request = Request::chat(false, None);
    let name = format!("json, open loop, {}/s over {} connections", plan.rate, plan.open_connections);
    proxies.case(plan, &name, false, |address| {
        load::open_loop(address, plan.open_connections, plan.rate, plan.window, &request)
    })?;
    let request = Request::chat(true, Some(plan.pace));
    let name = format!("stream, paced, {} at a time, a chunk every {:?}", plan.paced, plan.pace);
    proxies.case(plan, &name, true, |address| load::closed_loop(address, plan.paced, plan.window, &request))?;
    if plan.wants("memory") {
        report::memory("memory, after all that", proxies.nginx.memory()?, proxies.faregate.memory()?);
        drop(proxies);
        parked(plan, upstream)?;
    }
    Ok(())
}

/// Every kind of call, without a measurement.
fn train(plan: &Plan, upstream: SocketAddr) -> io::Result<()> {
    let dir = tempfile::tempdir()?;
    let faregate = Proxy::faregate(&plan.faregate, dir.path(), upstream, plan.workers)?;
    for request in [Request::chat(false, None), Request::chat(true, None), Request::chat(true, Some(plan.pace))] {
        for &connections in &plan.connections {
            load::closed_loop(faregate.json, connections, plan.window, &request)?;
        }
    }
    Ok(())
}

struct Proxies {
    upstream: SocketAddr,
    nginx: Proxy,
    faregate: Proxy,
}

impl Proxies {
    fn case(
        &self,
        plan: &Plan,
        name: &str,
        stream: bool,
        drive: impl Fn(SocketAddr) -> io::Result<Driven>,
    ) -> io::Result<()> {
        if !plan.wants(name) {
            return Ok(());
        }
        let mut rounds = Vec::with_capacity(plan.rounds);
        for round in 0..plan.rounds {
            let direct = Row::of(&drive(self.upstream)?, None);
            let one = |proxy: &Proxy| {
                let before = proxy.cpu()?;
                let driven = drive(if stream { proxy.stream } else { proxy.json })?;
                Ok::<_, io::Error>(Row::of(&driven, Some(proxy.cpu()? - before)))
            };
            let (nginx, faregate) = if round % 2 == 0 {
                let nginx = one(&self.nginx)?;
                (nginx, one(&self.faregate)?)
            } else {
                let faregate = one(&self.faregate)?;
                (one(&self.nginx)?, faregate)
            };
            rounds.push([direct, nginx, faregate]);
        }
        report::case(name, &rounds);
        Ok(())
    }
}

/// Time from the start of the process to its first answer, and what it then holds.
fn starts(plan: &Plan, upstream: SocketAddr) -> io::Result<()> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..plan.starts {
        let dir = tempfile::tempdir()?;
        times[0].push(Proxy::nginx(dir.path(), upstream, plan.workers)?.ready_after);
        times[1].push(Proxy::faregate(&plan.faregate, dir.path(), upstream, plan.workers)?.ready_after);
    }
    report::starts(&times);
    Ok(())
}

/// Memory of fresh processes with many client connections that have made one call each and wait.
fn parked(plan: &Plan, upstream: SocketAddr) -> io::Result<()> {
    let request = Request::chat(false, None);
    let dir = tempfile::tempdir()?;
    let hold = |proxy: &Proxy| {
        let held = load::park(proxy.json, plan.idle_connections, &request)?;
        std::thread::sleep(Duration::from_millis(200));
        let memory = proxy.memory()?;
        drop(held);
        Ok::<_, io::Error>(memory)
    };
    let nginx = hold(&Proxy::nginx(dir.path(), upstream, plan.workers)?)?;
    let faregate = hold(&Proxy::faregate(&plan.faregate, dir.path(), upstream, plan.workers)?)?;
    report::memory(&format!("memory, {} waiting connections", plan.idle_connections), nginx, faregate);
    Ok(())
}

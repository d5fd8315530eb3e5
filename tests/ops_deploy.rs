//! What `deploy/` offers is sound, and the service manager hears what it is told.

mod support;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use support::{Setup, Upstream, table};

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd/faregate.service");

/// The unit as it is, but for the program's place, which need not exist here.
fn unit(dir: &Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(UNIT).unwrap();
    assert!(text.contains("/usr/local/bin/faregate "));
    let path = dir.join("faregate.service");
    std::fs::write(&path, text.replace("/usr/local/bin/faregate ", &format!("{} ", env!("CARGO_BIN_EXE_faregate"))))
        .unwrap();
    path
}

#[test]
fn the_systemd_unit_is_sound_and_hardened() {
    let dir = tempfile::tempdir().unwrap();
    let unit = unit(dir.path());
    let run = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&unit).output().ok()?;
        Some((output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
    };
    let Some((sound, said)) = run(&["verify", "--man=no"]) else {
        eprintln!("not checked: systemd-analyze is not installed");
        return;
    };
    assert!(sound, "{said}");
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains("faregate.service")).collect();
    assert!(about_us.is_empty(), "{about_us:#?}");
    // A score of ten is wide open.
    if let Some((_, said)) = run(&["security", "--offline=true", "--no-pager"])
        && let Some(line) = said.lines().find(|line| line.contains("Overall exposure level"))
    {
        let score = line.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
        assert!(score < 2.5, "{line}");
    }
}

#[test]
fn the_service_manager_is_told_when_it_serves_and_when_it_stops() {
    let upstream = Upstream::json(200, "{}");
    let setup = Setup::new(&table::fallback(&[upstream.address]));
    let path = setup.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let mut faregate = setup.env("NOTIFY_SOCKET", path.to_str().unwrap()).start();
    let heard = || {
        let mut said = [0; 256];
        let n = socket.recv(&mut said).unwrap();
        String::from_utf8(said[..n].to_vec()).unwrap()
    };
    assert_eq!(heard(), format!("MAINPID={}\nREADY=1", faregate.pid()));
    faregate.signal("TERM");
    assert_eq!(heard(), "STOPPING=1");
    assert_eq!(faregate.wait().code(), Some(0));
}

//! What `deploy/` offers is sound, and the service manager hears what it is told.

mod support;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Client, Setup, Upstream, get, table};

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/systemd");

/// The units as they are, but for the program's place, which need not exist here.
fn units(dir: &Path) -> [PathBuf; 2] {
    let socket = dir.join("faregate.socket");
    std::fs::copy(Path::new(UNITS).join("faregate.socket"), &socket).unwrap();
    let text = std::fs::read_to_string(Path::new(UNITS).join("faregate.service")).unwrap();
    assert!(text.contains("/usr/local/bin/faregate "));
    let path = dir.join("faregate.service");
    std::fs::write(&path, text.replace("/usr/local/bin/faregate ", &format!("{} ", env!("CARGO_BIN_EXE_faregate"))))
        .unwrap();
    [path, socket]
}

#[test]
fn the_systemd_units_are_sound_and_hardened() {
    let dir = tempfile::tempdir().unwrap();
    let units = units(dir.path());
    let run = |arguments: &[&str], units: &[PathBuf]| {
        let output = Command::new("systemd-analyze").args(arguments).args(units).output().ok()?;
        Some((output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
    };
    let Some((sound, said)) = run(&["verify", "--man=no"], &units) else {
        eprintln!("not checked: systemd-analyze is not installed");
        return;
    };
    assert!(sound, "{said}");
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains("faregate.")).collect();
    assert!(about_us.is_empty(), "{about_us:#?}");
    // A score of ten is wide open.
    if let Some((_, said)) = run(&["security", "--offline=true", "--no-pager"], &units[..1])
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

const CALL: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m","messages":[]}"#;

/// As systemd starts a service that has sockets: the one on standard input becomes file descriptor 3.
const ACTIVATE: [&str; 4] = ["sh", "-c", "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"", "sh"];

fn activated(listener: &TcpListener, config: &str) -> Setup {
    Setup::new(config).stdin(OwnedFd::from(listener.try_clone().unwrap())).through(&ACTIVATE)
}

#[test]
fn with_a_passed_listener_nobody_is_refused_while_the_service_restarts() {
    let upstream = Upstream::json(200, r#"{"ok":true}"#);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = format!("server: {{ listen: \"{address}\" }}\n{}", table::fallback(&[upstream.address]));
    for _ in 0..2 {
        // Before there is a process at all.
        let mut early = Client::connect(address);
        early.post(CALL, &["content-type: application/json"], BODY);
        let mut faregate = activated(&listener, &config).start();
        early.response().expect(200);
        assert_eq!(faregate.api, address);
        get(faregate.admin, "/readyz").expect(200);
        faregate.signal("TERM");
        assert_eq!(faregate.wait().code(), Some(0));
    }
}

#[test]
fn both_listeners_can_be_passed_and_are_told_apart_by_their_addresses() {
    // The admin port's comes first.
    const PASS: &str = "
import os, socket, sys
made = [socket.create_server((\"127.0.0.1\", 0)) for _ in range(2)]
for number, listener in enumerate(made, 3):
    os.dup2(os.dup(listener.fileno()), number + 100)
for number in (3, 4):
    os.dup2(number + 100, number)
names = [\"127.0.0.1:%d\" % listener.getsockname()[1] for listener in made]
open(\"passed\", \"w\").write(\" \".join(names))
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=\"2\", LISTEN_FDNAMES=\"admin:api\")
os.execvp(sys.argv[1], sys.argv[1:] + [\"--admin\", names[0], \"--listen\", names[1]])
";
    let upstream = Upstream::json(200, "{}");
    let faregate = Setup::new(&table::fallback(&[upstream.address])).through(&["python3", "-c", PASS]).start();
    let passed = std::fs::read_to_string(faregate.path().join("passed")).unwrap();
    let passed: Vec<SocketAddr> = passed.split(' ').map(|address| address.parse().unwrap()).collect();
    assert_eq!([faregate.admin, faregate.api], *passed);
    get(faregate.admin, "/readyz").expect(200);
    faregate.stop();
}

#[test]
fn what_was_passed_by_mistake_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let start = |fd: OwnedFd, env: &str, listen: &str| {
        let script = format!("exec 3<&0 </dev/null; {env} exec \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_faregate"), "run", "--admin", "127.0.0.1:1"])
            .args(["--listen", listen])
            .stdin(Stdio::from(fd))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let passed = || OwnedFd::from(listener.try_clone().unwrap());
    let said = start(passed(), "LISTEN_PID=$$ LISTEN_FDS=1", "127.0.0.1:2");
    let neither = format!("{address} is neither server.listen (127.0.0.1:2) nor server.admin (127.0.0.1:1)");
    assert!(said.contains(&neither), "{said}");
    let unheard = OwnedFd::from(UnixDatagram::unbound().unwrap());
    let said = start(unheard, "LISTEN_PID=$$ LISTEN_FDS=1", &address);
    assert!(said.contains("file descriptor 3 is no TCP listener: nobody listens on it"), "{said}");
    let said = start(passed(), "LISTEN_PID=$$ LISTEN_FDS=some", &address);
    assert!(said.contains("LISTEN_FDS: malformed"), "{said}");
    let said = start(passed(), "exec 4<&-; LISTEN_PID=$$ LISTEN_FDS=2", &address);
    assert!(said.contains("file descriptor 4 is no TCP listener: Bad file descriptor"), "{said}");
    // Passed to another process: as if nothing had been, so that this one finds its address taken.
    let said = start(passed(), "LISTEN_PID=1 LISTEN_FDS=1", &address);
    assert!(said.contains(&format!("server.listen: cannot listen on {address}")), "{said}");
}

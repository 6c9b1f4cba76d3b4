//! Systems that are described in a file: the examples, the page that walks through one, and short real runs of it.

use crate::command::Place;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
}

/// A place with the examples in it, so that what runs there can be told by its path; none, and a reason, where the tiny
/// one cannot run.
fn place_to_run() -> Option<Place> {
    let has_python = std::process::Command::new("python3").arg("--version").output();
    let reason = match (has_python, faults::netns::probe()) {
        (Err(why), _) => format!("no python3: {why}"),
        (_, Err(why)) => why,
        (Ok(_), Ok(())) => return Some(with_examples()),
    };
    writeln!(std::io::stderr().lock(), "skipped: {reason}").unwrap();
    None
}

fn with_examples() -> Place {
    let place = Place::new();
    for entry in fs::read_dir(root().join("examples/systems")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        place.file(name, fs::read(&path).unwrap());
    }
    place
}

/// The processes that have the path of this place on their command line.
fn left_behind(place: &Place) -> Vec<String> {
    let path = place.directory.path().to_str().unwrap();
    let lines = fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ")
    });
    lines.filter(|line| line.contains(path)).collect()
}

fn check<'a>(verdict: &'a Value, name: &str) -> &'a Value {
    let checks = verdict["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{verdict}"))
}

#[test]
fn the_examples_can_be_read() {
    let place = with_examples();
    let files = fs::read_dir(place.directory.path()).unwrap().map(|e| e.unwrap().path());
    let files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        // What is asked after the file was read is refused, so nothing starts.
        let left = place.harness(&format!("run --system {} --rate 0", file.display()));
        assert_eq!(left.code, 254);
        assert!(left.stderr.contains("`--rate 0` is out of range"), "{}", left.stderr);
    }
}

/// Where nobody can have a network namespace it depends on what the file says.
#[test]
fn nodes_share_a_network_if_their_file_says_that_they_can() {
    let has_python = std::process::Command::new("python3").arg("--version").output();
    if let Err(why) = has_python {
        return writeln!(std::io::stderr().lock(), "skipped: no python3: {why}").unwrap();
    }
    let place = with_examples();
    let words = "run --system tiny.toml --nodes 3 --faults partition --time 4s --rate 100 --seed 3";
    let left = place.harness_without_namespaces(words);
    assert!(matches!(left.code, 0 | 2), "{} {}", left.stdout, left.stderr);
    assert!(left.stderr.contains("Sharing"), "{}", left.stderr);
    assert!(left_behind(&place).is_empty(), "{:?}", left_behind(&place));
    let verdict: Value = serde_json::from_str(&place.read("results/latest/verdict.json")).unwrap();
    assert_eq!(check(&verdict, "linearizable")["verdict"], "valid", "{verdict:#}");

    let unshared = place.read("tiny.toml").replace("shared_network = true", "");
    place.file("unshared.toml", unshared);
    let left = place.harness_without_namespaces("run --system unshared.toml --faults none");
    assert_eq!(left.code, 254, "{}", left.stderr);
    for part in [
        "the nodes of system `tiny` need network namespaces: ",
        "; nor can they share the network of this machine: the file of system `tiny` does not say `shared_network = true`",
    ] {
        assert!(left.stderr.contains(part), "{}", left.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_used_is_told_with_its_line_and_where_to_look() {
    let place = with_examples();
    place.file("bad.toml", "name = \"bad\"\nabout = \"x\"\nstart = []\n");
    let left = place.harness("run --system bad.toml");
    assert_eq!(left.code, 254);
    for part in ["cannot use the system bad.toml: line ", "docs/your-system.md"] {
        assert!(left.stderr.contains(part), "{}", left.stderr);
    }
    let left = place.harness("run --system ./absent.toml");
    assert_eq!(left.code, 254);
    assert!(left.stderr.contains("No such file"), "{}", left.stderr);
    let left = place.harness("run --system tiny.toml --election 1s");
    assert_eq!(left.code, 254);
    assert!(
        left.stderr.contains("`--election`: system `tiny` does not take it"),
        "{}",
        left.stderr
    );
}

#[test]
fn the_page_shows_the_example_as_it_is() {
    let page = fs::read_to_string(root().join("docs/your-system.md")).unwrap();
    for (language, file) in [("toml", "tiny.toml"), ("python", "tiny_client.py")] {
        let block = page.split(&format!("```{language}\n")).nth(1).unwrap();
        let block = block.split("```").next().unwrap();
        let shown = fs::read_to_string(root().join("examples/systems").join(file)).unwrap();
        assert!(block.lines().count() > 5 && shown.contains(block), "{file} is not as shown");
    }
}

#[test]
fn a_system_of_a_file_is_run_broken_and_judged() {
    let Some(place) = place_to_run() else { return };
    let left = place.harness(
        "run --system tiny.toml --nodes 3 --clients 4 --rate 60 --time 5s --seed 1 --faults partition,kill",
    );
    // A machine that is busy with other things may make it unknown, and nothing more.
    assert!(matches!(left.code, 0 | 2), "{} {}", left.stdout, left.stderr);
    let verdict: Value = serde_json::from_str(&place.read("results/latest/verdict.json")).unwrap();
    for name in ["linearizable", "crashes", "clients"] {
        assert_eq!(check(&verdict, name)["verdict"], "valid", "{verdict}");
    }
    let ok: u64 =
        verdict["counts"].as_object().unwrap().values().map(|f| f["ok"].as_u64().unwrap()).sum();
    assert!(ok > 50, "{verdict}");
    let receipts = place.read("results/latest/faults.jsonl");
    assert!(receipts.contains("\"effective\":true"), "{receipts}");
    assert_eq!(left_behind(&place), Vec::<String>::new());
    let plan: Value = serde_json::from_str(&place.read("results/latest/plan.json")).unwrap();
    assert_eq!(plan["system"], "tiny.toml");
    // Played again from elsewhere it is the same file, wherever one stands.
    let run = fs::canonicalize(place.directory.path().join("results/latest")).unwrap();
    let tiny = place.read("tiny.toml");
    place.file("tiny.toml", "nonsense");
    let elsewhere = Place::new();
    elsewhere.file("tiny.toml", tiny);
    let again = elsewhere.harness(&format!("run --replay {}", run.display()));
    let file = place.directory.path().canonicalize().unwrap().join("tiny.toml");
    assert_eq!(again.code, 254);
    assert!(
        again.stderr.contains(&format!("the system {}: line 1", file.display())),
        "{}",
        again.stderr
    );
    // Judged again without the file.
    fs::remove_file(place.directory.path().join("tiny.toml")).unwrap();
    let again = place.harness("check results/latest --json");
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(check(&again, "clients"), check(&verdict, "clients"));
}

#[test]
fn clients_that_write_nonsense_are_found_and_nothing_wedges() {
    let Some(place) = place_to_run() else { return };
    let tiny = place.read("tiny.toml");
    let good = "client = [\"python3\", \"{here}/tiny_client.py\"]";
    let bad = "client = \"python3 -u $HARNESS_HERE/tiny_client.py | sed -u '5s/.*/oops/'\"";
    assert!(tiny.contains(good));
    place.file("bad.toml", tiny.replace(good, bad));
    let left = place.harness(
        "run --system bad.toml --nodes 3 --clients 3 --rate 60 --time 3s --seed 1 --faults none",
    );
    assert_eq!(left.code, 2, "{} {}", left.stdout, left.stderr);
    let verdict: Value = serde_json::from_str(&place.read("results/latest/verdict.json")).unwrap();
    assert_eq!(check(&verdict, "linearizable")["verdict"], "valid");
    let clients = check(&verdict, "clients");
    assert_eq!(clients["verdict"], "unknown");
    assert!(clients["message"].as_str().unwrap().contains("it wrote `oops`, which is not JSON"));
    assert!(left.stdout.contains("it wrote `oops`"), "{}", left.stdout);
    let again = place.harness("check results/latest --json");
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(check(&again, "clients"), clients);
    assert_eq!(left_behind(&place), Vec::<String>::new());
}

/// Has the first node hand a socket of its own network to the second one, which keeps it: a way from the one to the other that no
/// proxy sees. Then each is a tiny node.
const LEAKY: &str = r#"
import socket, sys, threading, time

own, first, file, here = sys.argv[1:]


def give():
    door = socket.socket(socket.AF_UNIX)
    door.bind(here + "/door")
    door.listen()
    while True:
        with door.accept()[0] as taker:
            try:
                with socket.create_connection((own, 7000)) as way:
                    socket.send_fds(taker, [b"here"], [way.fileno()])
            except OSError:
                pass  # not listening yet: asked again


def take():
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as giver:
                giver.connect(here + "/door")
                if socket.recv_fds(giver, 4, 1)[1]:
                    return
        except OSError:
            pass
        time.sleep(0.01)


if own == first:
    threading.Thread(target=give, daemon=True).start()
elif own.endswith(".2"):
    take()
sys.argv = sys.argv[:4]
exec(open(here + "/tiny_node.py").read())
"#;

#[test]
fn nodes_that_reach_each_other_past_the_proxies_make_the_run_an_error_and_nothing_is_judged() {
    let Some(place) = place_to_run() else { return };
    let tiny = place.read("tiny.toml");
    let good =
        r#"start = ["python3", "{here}/tiny_node.py", "{address}", "{address:n1}", "{data}/log"]"#;
    let bad = r#"start = ["python3", "{here}/leaky_node.py", "{address}", "{address:n1}", "{data}/log", "{here}"]"#;
    assert!(tiny.contains(good));
    place.file("leaky.toml", tiny.replace(good, bad));
    place.file("leaky_node.py", LEAKY);
    let left = place.harness(
        "run --system leaky.toml --nodes 3 --clients 3 --rate 60 --time 3s --seed 1 --faults none",
    );
    assert_eq!(left.code, 255, "{} {}", left.stdout, left.stderr);
    for part in ["past the proxies", "n1 (process ", "n2 (process ", "10.77.0.1:7000", "hint: "] {
        assert!(left.stderr.contains(part), "{part}: {}", left.stderr);
    }
    let verdict: Value = serde_json::from_str(&place.read("results/latest/verdict.json")).unwrap();
    assert_eq!(
        (&verdict["verdict"], &verdict["counts"]),
        (&"error".into(), &serde_json::json!({}))
    );
    // Nor is it afterwards, not even what no correct system can have done.
    let mut history = place.read("results/latest/history.jsonl");
    history.push_str(concat!(
        r#"{"index":0,"time":1,"process":0,"type":"invoke","f":"read","key":"k1","value":null}"#,
        "\n",
        r#"{"index":1,"time":2,"process":0,"type":"ok","f":"read","key":"k1","value":7}"#,
        "\n",
    ));
    place.file("results/latest/history.jsonl", &history);
    let again = place.harness("check results/latest");
    assert_eq!(again.code, 255, "{} {}", again.stdout, again.stderr);
    assert!(again.stdout.contains("past the proxies"), "{}", again.stdout);
    assert!(!again.stdout.contains("INVALID"), "{}", again.stdout);
    place.file("history.jsonl", history);
    assert_eq!(place.harness("check history.jsonl").code, 1, "by itself it is a violation");
    assert_eq!(left_behind(&place), Vec::<String>::new());
}

#[test]
fn what_so_few_nodes_cannot_be_is_refused_before_anything_starts() {
    let place = with_examples();
    let tiny = place.read("tiny.toml");
    place.file("seven.toml", tiny.replace("{address:n1}", "{address:n7}"));
    place.file("five.toml", format!("survives = 5\n{tiny}"));
    for (file, told) in [
        (
            "seven.toml",
            ": `start`: `{address:n7}` is of a node that there is not; with `--nodes 3`",
        ),
        ("five.toml", "line 1: `survives`: with `--nodes 3` no more than 2 can be away"),
    ] {
        let left = place.harness(&format!("run --system {file} --nodes 3 --faults none"));
        assert_eq!(left.code, 254, "{}", left.stderr);
        for part in [&format!("cannot use the system {file}: line "), told] {
            assert!(left.stderr.contains(part), "{part}: {}", left.stderr);
        }
    }
    assert!(!place.directory.path().join("results").exists(), "nothing was started");
}

/// Its own last words come first, and nobody waits for a recovery that nobody can see.
#[test]
fn a_client_that_never_works_ends_the_run_with_its_last_words() {
    let Some(place) = place_to_run() else { return };
    let tiny = place.read("tiny.toml");
    for (bad, told) in [
        (
            r#"client = ["python3", "{here}/absent.py"]"#,
            ["it ended with exit code 2", "absent.py'", "standard error is results/"],
        ),
        (
            r#"client = "echo no use >&2; while read line; do sleep 0.2; echo oops; done""#,
            ["it wrote `oops`", "no use", "docs/your-system.md"],
        ),
    ] {
        let good = r#"client = ["python3", "{here}/tiny_client.py"]"#;
        assert!(tiny.contains(good));
        place.file("bad.toml", tiny.replace(good, bad));
        let left = place.harness(
            "run --system bad.toml --nodes 3 --clients 3 --rate 60 --time 60s --seed 1 --faults none",
        );
        assert_eq!(left.code, 255, "{} {}", left.stdout, left.stderr);
        let error = left.stderr.split("error: ").nth(1).unwrap_or_default();
        assert!(error.starts_with("the client program never gave an answer, tried "), "{error}");
        for part in told {
            assert!(error.contains(part), "{part}: {error}");
        }
        let history = place.read("results/latest/history.jsonl");
        assert!(!history.contains("recovery-n"), "nobody was waited for");
        assert_eq!(left_behind(&place), Vec::<String>::new());
    }
}

#[test]
fn a_node_that_does_not_listen_is_told_with_its_port_and_its_words() {
    let Some(place) = place_to_run() else { return };
    let tiny = place.read("tiny.toml");
    let tiny = tiny.replace("client = 7001", "client = 7009").replace(
        r#"start = ["python3","#,
        r#"start = ["sh", "-c", "echo I am here; exec \"$@\"", "sh", "python3","#,
    );
    assert!(tiny.contains("7009") && tiny.contains("I am here"));
    place.file("deaf.toml", tiny);
    let left = place.harness("run --system deaf.toml --nodes 1 --time 1s --faults none");
    assert_eq!(left.code, 255, "{}", left.stderr);
    let told = "n1 did not become ready in 10 s: nobody listens at 10.77.0.1:7009 (for clients)";
    for part in [told, "I am here"] {
        assert!(left.stderr.contains(part), "{part}: {}", left.stderr);
    }
    assert_eq!(left_behind(&place), Vec::<String>::new());
}

/// Not even of what a client or a probe started in a session of its own.
#[test]
fn nothing_is_left_of_a_run_that_is_killed() {
    let Some(place) = place_to_run() else { return };
    let sleeper = r#"setsid python3 -c 'import time; time.sleep(1000)' $HARNESS_HERE/NAME &"#;
    let [client, probe] = ["of-a-client", "of-a-probe"].map(|name| sleeper.replace("NAME", name));
    let leads = r#"echo '{"role":"leader","term":1}'; sleep 1"#;
    let client = format!("client = \"{client} exec python3 $HARNESS_HERE/tiny_client.py\"");
    let tiny = place
        .read("tiny.toml")
        .replace(r#"client = ["python3", "{here}/tiny_client.py"]"#, &client)
        .replace("ports =", &format!("probe = '''{probe} {leads} '''\nports ="));
    place.file("leaving.toml", tiny);
    let mut harness = place
        .command(
            "run --system leaving.toml --nodes 1 --clients 2 --rate 20 --time 60s --faults none",
        )
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let wait_until = |done: &dyn Fn() -> bool, what: &str| {
        while !done() {
            assert!(Instant::now() < deadline, "{what}: {:?}", left_behind(&place));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let is_there = |name: &str| left_behind(&place).iter().any(|line| line.contains(name));
    wait_until(&|| is_there("/of-a-client") && is_there("tiny_node.py"), "nothing was started");
    harness.kill().unwrap();
    harness.wait().unwrap();
    wait_until(&|| left_behind(&place).is_empty(), "something is left");
}

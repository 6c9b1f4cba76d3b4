//! Systems that are described in a file: the examples, the page that walks through one, and short real runs of it.

use crate::command::Place;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

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
    assert_eq!(place.harness("check results/latest").code, 255, "nor is it afterwards");
    assert_eq!(left_behind(&place), Vec::<String>::new());
}

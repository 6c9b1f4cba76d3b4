//! What is selected, what is refused, and the command line of a bridge.

use super::*;
use crate::system;
use clap::Parser;
use history::NodeId;

fn selection(program: Option<&str>) -> Selection {
    Selection {
        name: NAME.to_owned(),
        program: program.map(PathBuf::from),
        arguments: vec!["--stale".to_owned(), "x y".to_owned()],
    }
}

fn refused(result: Result<(), Failure>) -> String {
    result.expect_err("refused").message
}

#[test]
fn a_program_is_needed_and_must_be_one() {
    let none = system::select(&selection(None)).expect("a system").machine();
    assert_eq!(refused(none), "system `maelstrom` needs the program of its nodes");
    let machine = |path: &str| system::select(&selection(Some(path))).expect("a system").machine();
    assert_eq!(
        refused(machine("/nowhere/node")),
        "`--bin /nowhere/node`: No such file or directory (os error 2)"
    );
    assert_eq!(refused(machine("/tmp")), "`--bin /tmp`: it is no file");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().display().to_string();
    assert_eq!(refused(machine(&path)), format!("`--bin {path}`: it is not executable"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("own file");
    assert_eq!(machine(&path), Ok(()));
}

#[test]
fn one_selection_is_one_system() {
    let at = |program: &str| {
        let system = system::select(&selection(Some(program))).expect("a system");
        std::ptr::from_ref(system).cast::<()>()
    };
    assert_eq!(at("/bin/a"), at("/bin/a"));
    assert_ne!(at("/bin/a"), at("/bin/b"));
}

#[derive(Parser)]
enum Command {
    Maelstrom(bridge::Args),
}

#[test]
fn a_bridge_understands_its_command_line() {
    let system = system::select(&selection(Some("node"))).expect("a system");
    let command = system.command(&NodeSpec {
        node: NodeId(2),
        life: 0,
        home: None,
        peers: [
            (NodeId(1), ([127, 0, 0, 1], 7001).into()),
            (NodeId(3), ([127, 0, 0, 1], 7003).into()),
        ]
        .into(),
        data: "/tmp/data".into(),
        marks: "/tmp/marks".into(),
        settings: NodeSettings {
            companion: Some(([127, 0, 0, 1], 7009).into()),
            token: "f00d".to_owned(),
            ..NodeSettings::default()
        },
    });
    let words = std::iter::once("harness".to_owned()).chain(command.args);
    let Command::Maelstrom(args) = Command::try_parse_from(words).expect("its own flags");
    assert_eq!((args.id, args.nodes, args.ready_fd), (NodeId(2), 3, Some(READY_FD)));
    assert_eq!(args.peers[1], (NodeId(3), ([127, 0, 0, 1], 7003).into()));
    assert_eq!(args.services, Some(([127, 0, 0, 1], 7009).into()));
    assert_eq!(args.token, "f00d");
    assert_eq!(args.bin, std::env::current_dir().expect("a folder").join("node"));
    assert_eq!((args.data, args.arguments), ("/tmp/data".into(), selection(None).arguments));
}

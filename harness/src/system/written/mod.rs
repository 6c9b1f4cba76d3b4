//! A system that somebody wrote in a file: `harness run --system my.toml`.
//!
//! The file says how a node is started, stopped and asked, at which ports it listens, what it claims to survive, and which
//! program is its client; `docs/your-system.md` walks through one. Nothing of the system is known here besides.
//!
//! | module | what it is |
//! |---|---|
//! | `file` | the file, read and checked whole |
//! | `command` | its commands, and what is put into them |
//! | `protocol` | what is said to a client and what its answers mean |
//! | `client` | a client as a process of its own |
//! | `probe` | asking a node for its role by a command |
//! | `process` | starting such processes |
//! | `keeper` | ending them with all that they started |
//!
//! Each node lives in a network namespace of its own, where it listens at the same ports as all others. Where there are
//! none, nodes share a network if the file says that they can, each at an address of its own; the ports stay.
//!
//! What it does not do: faults that need the system's help (changes of members, handing leadership over, snapshots) or a
//! look into its messages or clocks, and seeded bugs. They need a folder beside this one.

mod client;
mod command;
mod file;
mod keeper;
mod probe;
mod process;
mod protocol;

use super::{
    Asides, ClientSettings, MarkCount, NodeAddresses, NodeCommand, NodeSpec, Probe, SeededBug,
    Selection, System, Wiring,
};
use crate::exit::Failure;
use client::ChildClient;
use command::{Command, Values};
use faults::{Budget, Power};
use file::{Description, Version};
use probe::{Answers, CommandProbe};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use workloads::KvClient;

/// The longest file of a system, in bytes.
const FILE_LIMIT_BYTES: u64 = 1 << 20;
/// How long the command that tells the version may take.
const VERSION_LIMIT: Duration = Duration::from_secs(5);
/// The longest version that is told, in characters.
const VERSION_LENGTH: usize = 200;

/// Whether this is the name of a file, and not of a system.
#[must_use]
pub fn is_file(name: &str) -> bool {
    name.contains('/') || Path::new(name).extension().is_some_and(|end| end == "toml")
}

/// The system that a file describes. It is read at the first time, and again only by another program.
///
/// # Errors
/// The file cannot be read or says something that means nothing, or a program or arguments are given besides.
pub(super) fn select(selection: &Selection) -> Result<&'static dyn System, Failure> {
    static READ: Mutex<BTreeMap<String, &'static Written>> = Mutex::new(BTreeMap::new());
    let name = &selection.name;
    let own =
        |what: &str| Failure::usage(format!("{what}: what `{name}` runs is said in that file"));
    if selection.program.is_some() {
        return Err(own("`--bin`"));
    }
    if let Some(first) = selection.arguments.first() {
        return Err(own(&format!("`{first}` after `--`")));
    }
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(same) = read.get(name) {
        return Ok(*same);
    }
    let written = Written::read(name).map_err(|why| unusable(name, &why))?;
    // A system is there for the life of the program, as those with a name of their own are. There are as many as files.
    let written: &'static Written = Box::leak(Box::new(written));
    read.insert(name.clone(), written);
    Ok(written)
}

fn unusable(file: &str, why: &str) -> Failure {
    Failure::usage(format!("cannot use the system {file}: {why}"))
        .hint("docs/your-system.md shows how one is written; examples/systems holds some")
}

/// A system as a file describes it.
#[derive(Debug)]
pub(super) struct Written {
    /// The file, as it was named.
    file: String,
    said: Description,
    version: OnceLock<String>,
    answers: Answers,
}

impl Written {
    fn read(file: &str) -> Result<Self, String> {
        let path = Path::new(file);
        let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
        if !about.is_file() || about.len() > FILE_LIMIT_BYTES {
            return Err("it is no file of a sensible size".to_owned());
        }
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        let said = file::parse(&text, path.parent().unwrap_or(Path::new("/")))?;
        let file = file.to_owned();
        Ok(Self { file, said, version: OnceLock::new(), answers: Answers::default() })
    }

    fn file_values(&self) -> Values {
        Values::of_file(&self.said.here)
    }

    fn node_command(&self, command: &Command, values: &Values) -> NodeCommand {
        command.with(values, &self.said.environment)
    }

    fn ask_version(&self) -> String {
        let command = match &self.said.version {
            Version::Unsaid => return "unknown".to_owned(),
            Version::Text(text) => return text.clone(),
            Version::Command(command) => command,
        };
        let printed = process::run(&self.node_command(command, &self.file_values()), VERSION_LIMIT);
        match printed {
            Ok(text) => match text.lines().map(str::trim).find(|line| !line.is_empty()) {
                Some(line) => line.chars().take(VERSION_LENGTH).collect(),
                None => "unknown (its command printed nothing)".to_owned(),
            },
            Err(why) => format!("unknown (its command {why})"),
        }
    }

    /// The programs of its commands: a name to be found on the path, or a file.
    fn programs(&self) -> impl Iterator<Item = String> {
        let said = &self.said;
        let version = match &said.version {
            Version::Command(command) => Some(command),
            Version::Unsaid | Version::Text(_) => None,
        };
        let commands = [Some(&said.start), said.stop.as_ref(), said.probe.as_ref(), version];
        let values = self.file_values();
        let commands = commands.into_iter().flatten().chain([&said.client]);
        commands.filter_map(move |command| command.program(&values))
    }
}

impl System for Written {
    fn name(&self) -> &str {
        &self.said.name
    }

    fn about(&self) -> &str {
        &self.said.about
    }

    fn version(&self) -> String {
        self.version.get_or_init(|| self.ask_version()).clone()
    }

    fn machine(&self) -> Result<(), Failure> {
        let system = &self.said.name;
        for (program, package) in &self.said.needs {
            if !is_there(program) {
                let missing =
                    format!("system `{system}` needs `{program}`, which is not on the PATH");
                return Err(
                    Failure::usage(missing).hint(format!("install the package `{package}`"))
                );
            }
        }
        // What depends on the node is known only when it is started.
        let known = self.programs().filter(|program| !program.contains('{'));
        for program in known {
            if !is_there(&program) {
                let missing =
                    format!("system `{system}` runs `{program}`, which is no program here");
                return Err(Failure::usage(missing));
            }
        }
        Ok(())
    }

    fn check_nodes(&self, nodes: u16) -> Result<(), Failure> {
        self.said.check_nodes(nodes).map_err(|why| unusable(&self.file, &why))
    }

    fn workloads(&self) -> &[&str] {
        &self.said.workloads
    }

    fn wiring(&self) -> Wiring {
        let unshared = (!self.said.shareable).then(|| {
            format!("the file of system `{}` does not say `shared_network = true`", self.said.name)
        });
        Wiring::OneAddress {
            peers: self.said.peer_ports.clone(),
            client: self.said.client_port,
            unshared,
        }
    }

    fn has_leaders(&self) -> bool {
        self.said.probe.is_some()
    }

    fn takes_settings(&self) -> bool {
        false
    }

    fn crash_marks(&self) -> &[String] {
        &self.said.crashes
    }

    fn powers(&self) -> &[Power] {
        &self.said.powers
    }

    fn fault_budget(&self, nodes: u16) -> Budget {
        self.said.survives.budget(nodes)
    }

    fn recovery_limit(&self, _: Duration) -> Duration {
        self.said.recovery_limit
    }

    fn claims_recovery(&self) -> bool {
        self.said.claims_recovery
    }

    fn bugs(&self) -> Vec<SeededBug> {
        Vec::new()
    }

    fn command(&self, spec: &NodeSpec) -> NodeCommand {
        self.node_command(&self.said.start, &Values::of_node(&self.said.here, spec))
    }

    fn stop(&self, spec: &NodeSpec, door: SocketAddr, pid: i32, limit: Duration) {
        if let Some(command) = &self.said.stop {
            let values = Values::of_node(&self.said.here, spec).behind(door).running_as(pid);
            // What has not stopped by it is told to by a signal, which is what happens next in any case.
            let _ = process::run(&self.node_command(command, &values), limit);
        }
    }

    fn ready(&self, _: &str) -> Result<NodeAddresses, String> {
        Err("wrote a line where nothing is expected".to_owned())
    }

    fn client(&self, settings: &ClientSettings) -> Box<dyn KvClient> {
        self.client_with(settings, &Asides::unheard())
    }

    fn client_with(&self, settings: &ClientSettings, asides: &Asides) -> Box<dyn KvClient> {
        let command = self.node_command(&self.said.client, &self.file_values());
        Box::new(ChildClient::new(command, settings, Arc::clone(&asides.notes)))
    }

    /// Only nodes of which more is known than where they answer can be asked; see [`probe_node`](System::probe_node).
    fn probe(&self, _: SocketAddr) -> Box<dyn Probe> {
        Box::new(Unasked)
    }

    fn probe_node(&self, spec: &NodeSpec, door: SocketAddr) -> Box<dyn Probe> {
        let Some(command) = &self.said.probe else { return self.probe(door) };
        let values = Values::of_node(&self.said.here, spec).behind(door);
        let command = self.node_command(command, &values);
        Box::new(CommandProbe::new(command, self.answers.at(door)))
    }

    fn marks(&self, _: &[PathBuf]) -> Vec<MarkCount> {
        Vec::new()
    }
}

/// The probe of a system that has none.
struct Unasked;

impl Probe for Unasked {
    fn status<'a>(
        &'a mut self,
        _: Duration,
    ) -> workloads::BoxFuture<'a, Result<super::NodeStatus, String>> {
        Box::pin(async { Err("the system's file has no `probe`".to_owned()) })
    }
}

/// Whether there is such a program: a file that may be executed, on the path if its name has no folder.
fn is_there(program: &str) -> bool {
    let may_run = |path: &Path| {
        let about = std::fs::metadata(path);
        about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return may_run(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| may_run(&folder.join(program)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_from_a_name() {
        for (name, told) in
            [("reference", false), ("my.toml", true), ("./etcd", true), ("toml", false)]
        {
            assert_eq!(is_file(name), told, "{name}");
        }
    }

    #[test]
    fn a_file_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.toml");
        let text = "name = \"one\"\nabout = \"a b\"\nstart = \"x\"\nclient = \"x\"\n\
            ports = { peers = [1], client = 2 }\nversion = [\"echo\", \"v1\"]\n";
        std::fs::write(&path, text).unwrap();
        let selection = Selection::named(path.to_str().unwrap());
        let first = super::super::select(&selection).unwrap();
        assert_eq!((first.name(), first.version().as_str()), ("one", "v1"));
        std::fs::write(&path, "nonsense").unwrap();
        assert_eq!(super::super::select(&selection).unwrap().name(), "one");
        let program = Selection { program: Some("x".into()), ..selection };
        let refused = super::super::select(&program).err().unwrap();
        assert!(refused.message.starts_with("`--bin`: what `"), "{refused}");
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let text = "name = \"one\"\nabout = \"a b\"\nclient = [\"sh\"]\nstart = [\"/absent/go\"]\n\
            ports = { peers = [1], client = 2 }\n";
        let written = |more: &str| Written {
            file: "my.toml".to_owned(),
            said: file::parse(&format!("{text}{more}"), Path::new("/")).unwrap(),
            version: OnceLock::new(),
            answers: Answers::default(),
        };
        let refused = written("").machine().unwrap_err();
        assert_eq!(refused.message, "system `one` runs `/absent/go`, which is no program here");
        let refused =
            written("needs = { absent-program = \"its-package\" }").machine().unwrap_err();
        let expected = "system `one` needs `absent-program`, which is not on the PATH";
        assert_eq!(refused.message, expected);
        assert_eq!(refused.hints, ["install the package `its-package`"]);
    }

    #[test]
    fn a_claim_never_takes_all_nodes() {
        use super::file::Survives;
        let down = |claim: Survives, nodes| claim.budget(nodes).down;
        assert_eq!((down(Survives::Minority, 5), down(Survives::Minority, 1)), (2, 0));
        assert_eq!((down(Survives::Nodes(9), 3), down(Survives::Nodes(0), 3)), (2, 0));
    }
}

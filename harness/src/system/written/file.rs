//! The file that describes a system: TOML, checked whole before anything of it is used.
//!
//! ```toml
//! name = "tiny"
//! about = "one register behind three nodes"
//! start = ["python3", "{here}/tiny_node.py", "{node}"]   # a command is a list of words, or a line for `sh`
//! client = ["python3", "{here}/tiny_client.py"]
//! ports = { peers = [7000], client = 7001 }
//! ```
//!
//! These five must be there, the others may: `version`, `needs`, `stop`, `probe`, `environment`, `powers`, `survives`,
//! `recovery_limit`, `shared_network`, `workloads`, `crashes`. `docs/your-system.md` says what each means.
//!
//! Whatever is wrong is told with its line and what was expected there; nothing is guessed, and no word is passed over.
//! What is wrong only with a number of nodes is told when that is known ([`Description::check_nodes`]). Whether this
//! machine has what the file asks for is not asked here.

mod words;

use super::command::{Command, Scope};
use crate::duration;
use faults::{Budget, Power};
use history::NodeId;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use workloads::Workload;

/// How long every node may take to serve again after the last heal, if the file does not say.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);
/// The same at most.
const LONGEST_RECOVERY: Duration = Duration::from_secs(600);
/// What can be done to nodes of which only a file is known, each with its word.
const POWERS: [(&str, Power); 4] =
    [("cut", Power::Cut), ("kill", Power::Kill), ("pause", Power::Pause), ("disk", Power::Disk)];
/// Those that the file need not name.
const USUAL_POWERS: [Power; 3] = [Power::Cut, Power::Kill, Power::Pause];
/// What its clients can be asked.
const FUNCTIONS: [&str; 4] = ["read", "write", "cas", "delete"];

/// A system, as its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) version: Version,
    /// Programs, and the package in which each is found.
    pub(super) needs: BTreeMap<String, String>,
    pub(super) start: Command,
    pub(super) stop: Option<Command>,
    pub(super) probe: Option<Command>,
    pub(super) client: Command,
    pub(super) peer_ports: Vec<u16>,
    pub(super) client_port: u16,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) powers: Vec<Power>,
    pub(super) survives: Survives,
    pub(super) recovery_limit: Duration,
    /// Whether the file says that limit.
    pub(super) claims_recovery: bool,
    /// Whether its nodes know that others call them by another address than their own.
    pub(super) shareable: bool,
    pub(super) workloads: Vec<&'static str>,
    pub(super) crashes: Vec<String>,
    /// The folder of the file.
    pub(super) here: PathBuf,
    /// The nodes that its commands name by number, each with the line and the word of the command.
    named: Vec<(usize, &'static str, NodeId)>,
    /// The line that says what it survives; 0 without one.
    survives_line: usize,
}

impl Description {
    /// Whether what the file says of single nodes and of their number can be true of so many.
    ///
    /// # Errors
    /// What cannot, with its line.
    pub(super) fn check_nodes(&self, nodes: u16) -> Result<(), String> {
        let unknown = self.named.iter().find(|(_, _, node)| !(1..=nodes).contains(&node.0));
        if let Some((line, word, node)) = unknown {
            let there = match nodes {
                1 => "there is n1 alone".to_owned(),
                _ => format!("there are n1 to n{nodes}"),
            };
            return Err(format!(
                "line {line}: `{word}`: `{{address:{node}}}` is of a node that there is not; with `--nodes {nodes}` {there}"
            ));
        }
        match self.survives {
            Survives::Nodes(count) if count >= usize::from(nodes) => {
                let (line, most) = (self.survives_line, nodes.saturating_sub(1));
                Err(format!(
                    "line {line}: `survives`: with `--nodes {nodes}` no more than {most} can be away and the others go on; {count} is more"
                ))
            }
            _ => Ok(()),
        }
    }
}

/// What tells the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Nothing does.
    Unsaid,
    /// The file.
    Text(String),
    /// The first line that this prints.
    Command(Command),
}

/// How many nodes may be down or cut off at once while the others go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Survives {
    /// As many as leave a majority.
    Minority,
    /// So many.
    Nodes(usize),
}

impl Survives {
    /// It claims nothing of damaged files or of clocks, and that what crashes loses nothing only for so many nodes.
    pub(super) fn budget(self, nodes: u16) -> Budget {
        let nodes = usize::from(nodes);
        let down = match self {
            Self::Minority => nodes.saturating_sub(1) / 2,
            Self::Nodes(count) => count.min(nodes.saturating_sub(1)),
        };
        Budget { down, crash: down, ..Budget::default() }
    }
}

/// The file as it is typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    about: Spanned<String>,
    version: Option<Spanned<Words>>,
    #[serde(default)]
    needs: BTreeMap<String, String>,
    start: Spanned<Words>,
    stop: Option<Spanned<Words>>,
    probe: Option<Spanned<Words>>,
    client: Spanned<Words>,
    ports: Spanned<Ports>,
    #[serde(default)]
    environment: BTreeMap<String, Spanned<String>>,
    powers: Option<Vec<Spanned<String>>>,
    survives: Option<Spanned<Claim>>,
    recovery_limit: Option<Spanned<String>>,
    #[serde(default)]
    shared_network: bool,
    workloads: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    crashes: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of words, or one line of text")]
enum Words {
    List(Vec<String>),
    Line(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Ports {
    peers: Vec<u16>,
    client: u16,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"minority\" or a number of nodes")]
enum Claim {
    Word(String),
    Nodes(usize),
}

/// Reads what a file says that lies in the folder `here`.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn parse(text: &str, here: &Path) -> Result<Description, String> {
    let at = |offset: usize, why: String| format!("line {}: {why}", line_of(text, offset));
    let told = |(offset, why)| at(offset, why);
    words::check(text).map_err(told)?;
    let file: File = toml::from_str(text).map_err(|error| told(words::told(text, &error)))?;
    describe(file, here, &|offset| line_of(text, offset)).map_err(told)
}

/// Something is wrong at this byte of the file.
type Wrong = (usize, String);

fn describe(file: File, here: &Path, line: &dyn Fn(usize) -> usize) -> Result<Description, Wrong> {
    check_name(&file.name)?;
    check_text("about", &file.about)?;
    let version = match file.version {
        None => Version::Unsaid,
        Some(said) if matches!(said.get_ref(), Words::Line(_)) => {
            Version::Text(line_of_words(said)?)
        }
        Some(said) => Version::Command(command("version", said, Scope::File)?),
    };
    let optional = |name, said: Option<Spanned<Words>>, scope| {
        said.map(|said| command(name, said, scope)).transpose()
    };
    let lines = [
        ("start", Some(file.start.span())),
        ("stop", file.stop.as_ref().map(Spanned::span)),
        ("probe", file.probe.as_ref().map(Spanned::span)),
    ];
    let survives_line = file.survives.as_ref().map_or(0, |said| line(said.span().start));
    let (peer_ports, client_port) = ports(file.ports)?;
    let patterns = file.crashes.iter().map(|piece| check_text("crashes", piece));
    patterns.collect::<Result<(), Wrong>>()?;
    let start = command("start", file.start, Scope::Node)?;
    let stop = optional("stop", file.stop, Scope::Process)?;
    let probe = optional("probe", file.probe, Scope::Door)?;
    let named = [Some(&start), stop.as_ref(), probe.as_ref()].into_iter().zip(lines);
    let named = named.filter_map(|(command, (word, span))| Some((command?, word, span?)));
    let named = named.flat_map(|(command, word, span)| {
        command.nodes().map(move |node| (line(span.start), word, node))
    });
    Ok(Description {
        named: named.collect(),
        survives_line,
        version,
        start,
        stop,
        probe,
        client: command("client", file.client, Scope::File)?,
        peer_ports,
        client_port,
        environment: environment(file.environment)?,
        powers: powers(file.powers)?,
        survives: file.survives.map_or(Ok(Survives::Minority), survives)?,
        claims_recovery: file.recovery_limit.is_some(),
        recovery_limit: file.recovery_limit.map_or(Ok(RECOVERY_LIMIT), recovery_limit)?,
        shareable: file.shared_network,
        workloads: workloads(file.workloads)?,
        crashes: file.crashes.into_iter().map(Spanned::into_inner).collect(),
        name: file.name.into_inner(),
        about: file.about.into_inner(),
        needs: file.needs,
        here: here.to_owned(),
    })
}

fn check_name(name: &Spanned<String>) -> Result<(), Wrong> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let text = name.get_ref();
    if !text.is_empty() && text.len() <= 40 && text.chars().all(plain) {
        return Ok(());
    }
    let why = format!("`name`: `{text}` is no name; use small letters, digits and `-`");
    Err((name.span().start, why))
}

fn check_text(key: &str, text: &Spanned<String>) -> Result<(), Wrong> {
    if text.get_ref().trim().is_empty() || text.get_ref().contains('\n') {
        return Err((text.span().start, format!("`{key}`: expected a line that says something")));
    }
    Ok(())
}

/// A version that is said in words.
fn line_of_words(said: Spanned<Words>) -> Result<String, Wrong> {
    let start = said.span().start;
    match said.into_inner() {
        Words::Line(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err((start, "`version`: expected some text".to_owned())),
    }
}

fn command(key: &str, said: Spanned<Words>, scope: Scope) -> Result<Command, Wrong> {
    let start = said.span().start;
    let made = match said.into_inner() {
        Words::List(words) => Command::of_words(words, scope),
        Words::Line(line) => Command::of_line(line),
    };
    made.map_err(|why| (start, format!("`{key}`: {why}")))
}

fn ports(said: Spanned<Ports>) -> Result<(Vec<u16>, u16), Wrong> {
    let start = said.span().start;
    let Ports { peers, client } = said.into_inner();
    let wrong = |why: &str| Err((start, format!("`ports`: {why}")));
    if peers.is_empty() {
        return wrong("expected at least one port in `peers`");
    }
    if client == 0 || peers.contains(&0) {
        return wrong("0 is no port; nodes listen at fixed ones, each in a network of its own");
    }
    let mut once = peers.clone();
    once.sort_unstable();
    once.dedup();
    if once.len() != peers.len() {
        return wrong("a port is named twice in `peers`");
    }
    Ok((peers, client))
}

fn environment(said: BTreeMap<String, Spanned<String>>) -> Result<BTreeMap<String, String>, Wrong> {
    for (name, value) in &said {
        let refused = if name.is_empty() || name.contains(['=', '\0']) {
            format!("`{name}` is no name of a variable")
        } else if name.starts_with("HARNESS_") {
            format!("`{name}`: variables that begin with HARNESS_ are set for every node")
        } else if value.get_ref().contains('\0') {
            format!("`{name}`: a value cannot hold a zero byte")
        } else {
            continue;
        };
        return Err((value.span().start, format!("`environment`: {refused}")));
    }
    Ok(said.into_iter().map(|(name, value)| (name, value.into_inner())).collect())
}

fn powers(said: Option<Vec<Spanned<String>>>) -> Result<Vec<Power>, Wrong> {
    let Some(said) = said else { return Ok(USUAL_POWERS.to_vec()) };
    let one = |word: &Spanned<String>| {
        let found = POWERS.iter().find(|(name, _)| name == word.get_ref());
        found.map(|(_, power)| *power).ok_or_else(|| {
            let known = POWERS.map(|(name, _)| name).join(", ");
            (
                word.span().start,
                format!("`powers`: unknown `{}`; write some of {known}", word.get_ref()),
            )
        })
    };
    said.iter().map(one).collect()
}

fn survives(said: Spanned<Claim>) -> Result<Survives, Wrong> {
    let start = said.span().start;
    match said.into_inner() {
        Claim::Nodes(count) => Ok(Survives::Nodes(count)),
        Claim::Word(word) if word == "minority" => Ok(Survives::Minority),
        Claim::Word(word) => {
            let why = format!("`survives`: `{word}` is neither \"minority\" nor a number of nodes");
            Err((start, why))
        }
    }
}

fn recovery_limit(said: Spanned<String>) -> Result<Duration, Wrong> {
    let wrong = |why: String| (said.span().start, format!("`recovery_limit`: {why}"));
    let limit = duration::parse(said.get_ref()).map_err(|error| wrong(error.to_string()))?;
    if !(Duration::from_secs(1)..=LONGEST_RECOVERY).contains(&limit) {
        return Err(wrong(format!("`{}` is out of range: 1s to 10m", said.get_ref())));
    }
    Ok(limit)
}

/// Names of workloads that can be run.
fn workloads(said: Option<Vec<Spanned<String>>>) -> Result<Vec<&'static str>, Wrong> {
    let asks = |one: &&&dyn Workload| one.functions().iter().all(|f| FUNCTIONS.contains(f));
    let run = || {
        let runs = workloads::all().iter().filter(|one| one.runs());
        runs.filter(asks).map(|one| one.name())
    };
    let Some(said) = said else { return Ok(run().collect()) };
    let one = |word: &Spanned<String>| {
        run().find(|name| name == word.get_ref()).ok_or_else(|| {
            let known = run().collect::<Vec<_>>().join(", ");
            let why = format!("`workloads`: unknown `{}`; write some of {known}", word.get_ref());
            (word.span().start, why)
        })
    };
    said.iter().map(one).collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;

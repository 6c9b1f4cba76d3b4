//! A command of a system's file, and what is put into it when it is run.
//!
//! A list of words is run as it is, and `{node}` in a word is replaced. A line is given to `sh` as it is, because braces
//! mean something there. Both find the same things in the environment: what a list calls `{data}` is `HARNESS_DATA`.

use crate::system::{NodeCommand, NodeSpec};
use faults::netns;
use history::NodeId;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What a command may be told of, each with all that the one before it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Where the file lies.
    File,
    /// One node before it is there.
    Node,
    /// A node that can be asked past the proxies.
    Door,
    /// Its process.
    Process,
}

/// The names, and from where on each is known.
const NAMES: [(&str, Scope); 10] = [
    ("here", Scope::File),
    ("node", Scope::Node),
    ("number", Scope::Node),
    ("data", Scope::Node),
    ("address", Scope::Node),
    ("known_as", Scope::Node),
    ("nodes", Scope::Node),
    ("probe", Scope::Door),
    ("probe_port", Scope::Door),
    ("pid", Scope::Process),
];
/// Begins the name of another node's address: `{address:n2}`.
const ADDRESS_OF: &str = "address:";

/// A command that was found sensible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A program and its arguments.
    Words(Vec<String>),
    /// For `sh`.
    Line(String),
}

impl Command {
    /// # Errors
    /// There is no word, or one has a name in braces that is not known here.
    pub(super) fn of_words(words: Vec<String>, scope: Scope) -> Result<Self, String> {
        if words.first().is_none_or(|program| program.is_empty()) {
            return Err("expected a program as the first word".to_owned());
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err("a word cannot hold a zero byte".to_owned());
        }
        for (_, name) in words.iter().flat_map(|word| names(word)) {
            let known = NAMES.iter().any(|(one, from)| *one == name && *from <= scope);
            let other = name.strip_prefix(ADDRESS_OF).filter(|_| scope >= Scope::Node);
            if !known && other.and_then(|node| node.parse::<NodeId>().ok()).is_none() {
                let known = NAMES.iter().filter(|(_, from)| *from <= scope);
                let mut known: Vec<String> = known.map(|(name, _)| format!("{{{name}}}")).collect();
                known.extend((scope >= Scope::Node).then(|| format!("{{{ADDRESS_OF}n1}}")));
                let known = known.join(", ");
                return Err(format!("unknown name `{{{name}}}`; here there are {known}"));
            }
        }
        Ok(Self::Words(words))
    }

    /// # Errors
    /// There is nothing in it.
    pub(super) fn of_line(line: String) -> Result<Self, String> {
        if line.trim().is_empty() || line.contains('\0') {
            return Err("expected a list of words, or one line for `sh`".to_owned());
        }
        Ok(Self::Line(line))
    }

    /// The nodes whose addresses it names by number.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let words = match self {
            Self::Words(words) => &words[..],
            Self::Line(_) => &[],
        };
        let names = words.iter().flat_map(|word| names(word));
        names.filter_map(|(_, name)| name.strip_prefix(ADDRESS_OF)?.parse().ok())
    }

    /// The program, if the file says which; not for a line, which may run any.
    pub(super) fn program(&self, values: &Values) -> Option<String> {
        match self {
            Self::Words(words) => words.first().map(|word| values.fill(word)),
            Self::Line(_) => None,
        }
    }

    /// As it is to be run, with these variables besides.
    pub(super) fn with(
        &self,
        values: &Values,
        environment: &BTreeMap<String, String>,
    ) -> NodeCommand {
        let (program, args) = match self {
            Self::Line(line) => ("/bin/sh".to_owned(), vec!["-c".to_owned(), line.clone()]),
            Self::Words(words) => {
                let mut words = words.iter().map(|word| values.fill(word));
                (words.next().unwrap_or_default(), words.collect())
            }
        };
        let own = environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        let env = own.chain(values.variables()).collect();
        NodeCommand { program: PathBuf::from(program), args, env }
    }
}

/// The names in braces in a word, each with where its brace is.
fn names(word: &str) -> impl Iterator<Item = (usize, &str)> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ':');
    word.match_indices('{').filter_map(move |(at, _)| {
        let (name, _) = word[at + 1..].split_once('}')?;
        (!name.is_empty() && name.chars().all(plain)).then_some((at, name))
    })
}

/// What the names mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values {
    named: BTreeMap<&'static str, String>,
    /// At which address this node has, or reaches, each.
    addresses: BTreeMap<NodeId, IpAddr>,
}

impl Values {
    /// For what is no node's.
    pub(super) fn of_file(here: &Path) -> Self {
        let named = BTreeMap::from([("here", here.display().to_string())]);
        Self { named, addresses: BTreeMap::new() }
    }

    /// For this node.
    pub(super) fn of_node(here: &Path, spec: &NodeSpec) -> Self {
        let mut addresses: BTreeMap<NodeId, IpAddr> =
            spec.peers.iter().map(|(peer, at)| (*peer, at.ip())).collect();
        let home = spec.home.map(|home| (home.own.peer.ip(), home.known.ip()));
        // Every deployment gives nodes of such a system a home.
        let (own, known) = home.unwrap_or([netns::address(spec.node); 2].map(IpAddr::from).into());
        addresses.insert(spec.node, known);
        let nodes: Vec<String> =
            addresses.iter().map(|(node, at)| format!("{node}={at}")).collect();
        addresses.insert(spec.node, own);
        let mut values = Self { addresses, ..Self::of_file(here) };
        values.named.extend([
            ("node", spec.node.to_string()),
            ("number", spec.node.0.to_string()),
            ("data", spec.data.display().to_string()),
            ("address", own.to_string()),
            ("known_as", known.to_string()),
            ("nodes", nodes.join(" ")),
        ]);
        values
    }

    /// Also where it answers past the proxies.
    pub(super) fn behind(mut self, door: SocketAddr) -> Self {
        self.named.insert("probe", door.to_string());
        self.named.insert("probe_port", door.port().to_string());
        self
    }

    /// Also its process.
    pub(super) fn running_as(mut self, pid: i32) -> Self {
        self.named.insert("pid", pid.to_string());
        self
    }

    fn get(&self, name: &str) -> Option<String> {
        let other = name.strip_prefix(ADDRESS_OF).and_then(|node| node.parse::<NodeId>().ok());
        let Some(node) = other else { return self.named.get(name).cloned() };
        let known = self.addresses.get(&node).copied();
        known.or_else(|| self.beside(node)).map(|address| address.to_string())
    }

    /// Where a node would be that there is not, so that nobody answers there.
    fn beside(&self, node: NodeId) -> Option<IpAddr> {
        let IpAddr::V4(any) = self.addresses.values().next()? else { return None };
        let ([a, b, ..], [c, d]) = (any.octets(), node.0.to_be_bytes());
        let [.., beside, _] = any.octets();
        Some(Ipv4Addr::new(a, b, if c == 0 { beside } else { c }, d).into())
    }

    /// A word with every known name replaced.
    fn fill(&self, word: &str) -> String {
        let (mut filled, mut from) = (String::new(), 0);
        for (at, name) in names(word) {
            if let Some(value) = self.get(name) {
                filled.push_str(&word[from..at]);
                filled.push_str(&value);
                from = at + name.len() + 2;
            }
        }
        filled.push_str(&word[from..]);
        filled
    }

    fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let name = |name: &str| format!("HARNESS_{}", name.to_ascii_uppercase());
        self.named.iter().map(move |(one, value)| (name(one), value.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{Home, NodeAddresses, NodeSettings};

    fn values() -> Values {
        let at = |node: u16| (NodeId(node), (netns::address(NodeId(node)), 7000).into());
        let spec = NodeSpec {
            node: NodeId(2),
            life: 0,
            home: None,
            peers: BTreeMap::from([at(3), at(1)]),
            data: PathBuf::from("/run/a b/{node}"),
            marks: PathBuf::new(),
            settings: NodeSettings::default(),
        };
        Values::of_node(Path::new("/here"), &spec)
    }

    #[test]
    fn a_node_that_shares_a_network_listens_elsewhere_than_others_know() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let own = NodeAddresses { peer: at("127.130.5.2:7000"), client: at("127.130.5.2:7001") };
        let spec = NodeSpec {
            node: NodeId(2),
            life: 0,
            home: Some(Home { own, known: at("127.130.4.2:7000") }),
            peers: BTreeMap::from([(NodeId(1), at("127.130.4.1:7000"))]),
            data: PathBuf::new(),
            marks: PathBuf::new(),
            settings: NodeSettings::default(),
        };
        let values = Values::of_node(Path::new("/here"), &spec);
        assert_eq!(
            values.fill("{address} {address:n2} {known_as}"),
            "127.130.5.2 127.130.5.2 127.130.4.2"
        );
        assert_eq!(values.fill("{address:n1} {address:n3}"), "127.130.4.1 127.130.4.3");
        assert_eq!(values.fill("{nodes}"), "n1=127.130.4.1 n2=127.130.4.2");
    }

    #[test]
    fn words_are_filled_and_lines_are_not() {
        let words =
            ["{here}/go", "--me={node}/{number}", "{data}", "{address:n3},{address}", "{}{x"];
        let words = Command::of_words(words.map(str::to_owned).to_vec(), Scope::Node).unwrap();
        let made = words.with(&values(), &BTreeMap::from([("A".to_owned(), "b".to_owned())]));
        assert_eq!(made.program, Path::new("/here/go"));
        assert_eq!(made.args, ["--me=n2/2", "/run/a b/{node}", "10.77.0.3,10.77.0.2", "{}{x"]);
        assert_eq!(values().fill("{address:n4} {address:n300}"), "10.77.0.4 10.77.1.44");
        assert_eq!(values().fill("{known_as} {address:n2}"), "10.77.0.2 10.77.0.2");
        let variable = |name: &str| {
            let found = made.env.iter().find(|(one, _)| one == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        assert_eq!(variable("A"), "b");
        assert_eq!(variable("HARNESS_NODES"), "n1=10.77.0.1 n2=10.77.0.2 n3=10.77.0.3");
        assert_eq!(variable("HARNESS_DATA"), "/run/a b/{node}");
        let line = Command::of_line("echo {node}".to_owned()).unwrap();
        assert_eq!(line.with(&values(), &BTreeMap::new()).args, ["-c", "echo {node}"]);
    }

    #[test]
    fn a_node_that_answers_has_a_port_and_a_process() {
        let door = "127.0.0.1:4001".parse().unwrap();
        let values = values().behind(door).running_as(7);
        assert_eq!(values.fill("{probe} {probe_port} {pid}"), "127.0.0.1:4001 4001 7");
    }

    #[test]
    fn a_name_is_refused_where_nothing_is_known_of_it() {
        let made = |word: &str, scope| Command::of_words(vec![word.to_owned()], scope).err();
        assert_eq!(
            made("{node}", Scope::File).unwrap(),
            "unknown name `{node}`; here there are {here}"
        );
        assert!(made("{pid}", Scope::Door).unwrap().ends_with("{probe_port}, {address:n1}"));
        assert_eq!(made("{pid}", Scope::Process), None);
        assert!(made("{address:m}", Scope::Node).is_some());
        assert!(made("{address:n1}", Scope::File).is_some());
        assert!(made("", Scope::File).is_some() && Command::of_line(" ".to_owned()).is_err());
    }
}

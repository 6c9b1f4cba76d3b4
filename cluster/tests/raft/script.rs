//! The language of the golden scripts: one command a line, after `> `.
//!
//! | command | what happens |
//! |---|---|
//! | `cluster N [appends=E in-flight=F uncommitted=BYTES reads=R bug=NAME]` | N started nodes |
//! | `election N` · `heartbeat N` · `contact N` | that timer of the node fires |
//! | `elect N` | contact timers fire, the node campaigns, everything settles |
//! | `propose N a b` · `read N TAG…` | clients ask |
//! | `transfer N [TO]` | the node is to hand its leadership over, as request 900 |
//! | `deliver` | until nothing is in flight |
//! | `deliver A B` · `drop A B` · `again A B` | what is in flight now from A to B: delivered, lost, sent twice |
//! | `durable N` | what the node has written is synced |
//! | `settle` | deliver and sync until nothing happens |
//! | `isolate N` · `cut A B` · `heal` | links, for messages sent from now on |
//! | `crash N` · `restart N` | what was not synced is gone |
//! | `status` | every node in a line |
//! | `quiet COMMAND` | the same, without its lines |

use crate::network::Network;
use cluster::raft::{Event, Role, Timer};

/// A script being run.
pub(crate) struct Script {
    network: Network,
}

impl Script {
    pub(crate) fn new() -> Script {
        Script { network: Network::new(1, |_| {}) }
    }

    /// Runs a command and returns what it printed.
    pub(crate) fn run(&mut self, command: &str) -> Result<Vec<String>, String> {
        if let Some(command) = command.strip_prefix("quiet ") {
            return self.run(command).map(|_| Vec::new());
        }
        let words: Vec<&str> = command.split_whitespace().collect();
        let (verb, rest) = words.split_first().ok_or("an empty command")?;
        self.network.lines.clear();
        match *verb {
            "cluster" => self.network = cluster(rest)?,
            "election" => self.network.timeout(number(rest, 0)?, Timer::Election),
            "heartbeat" => self.network.timeout(number(rest, 0)?, Timer::Heartbeat),
            "contact" => self.network.timeout(number(rest, 0)?, Timer::Contact),
            "elect" => self.network.elect(number(rest, 0)?),
            "propose" => {
                self.network.propose(number(rest, 0)?, &rest[1..]);
            }
            "read" => {
                let tags: Result<_, _> = (1..rest.len()).map(|place| number(rest, place)).collect();
                self.network.event(number(rest, 0)?, Event::Read(tags?));
            }
            "transfer" => {
                let to = rest.get(1).map(|_| number(rest, 1)).transpose()?;
                self.network.event(number(rest, 0)?, Event::Transfer { tag: 900, to });
            }
            "deliver" if rest.is_empty() => self.network.deliver(),
            "deliver" | "drop" | "again" => {
                self.in_flight(verb, number(rest, 0)?, number(rest, 1)?)
            }
            "durable" => self.network.sync(number(rest, 0)?),
            "settle" => self.network.settle(),
            "isolate" => self.network.isolate(number(rest, 0)?),
            "cut" => {
                self.network.cut.insert((number(rest, 0)?, number(rest, 1)?));
            }
            "heal" => self.network.cut.clear(),
            "crash" => self.network.crash(number(rest, 0)?),
            "restart" => self.network.restart(number(rest, 0)?),
            "status" => self.status(),
            _ => return Err(format!("unknown command `{command}`")),
        }
        Ok(std::mem::take(&mut self.network.lines))
    }

    fn in_flight(&mut self, verb: &str, from: u64, to: u64) {
        match verb {
            "drop" => {
                self.network.in_flight.retain(|message| (message.from, message.to) != (from, to));
            }
            "again" => {
                let copies: Vec<_> = self
                    .network
                    .in_flight
                    .iter()
                    .filter(|message| (message.from, message.to) == (from, to))
                    .cloned()
                    .collect();
                self.network.in_flight.extend(copies);
            }
            _ => {
                self.network.deliver_if(|message| (message.from, message.to) == (from, to));
            }
        }
    }

    fn status(&mut self) {
        for (id, machine) in &self.network.machines {
            let Some(core) = &machine.raft else {
                self.network.lines.push(format!("n{id} is down"));
                continue;
            };
            let role = match core.role() {
                Role::Follower => "follower",
                Role::PreCandidate => "pre-candidate",
                Role::Candidate => "candidate",
                Role::Leader => "leader",
            };
            let log: Vec<String> = (1..=core.last().index)
                .filter_map(|index| Some(format!("{index}@{}", core.term_at(index)?)))
                .collect();
            self.network.lines.push(format!(
                "n{id} {role} term={} commit={} durable={} log=[{}]",
                core.term(),
                core.commit(),
                core.durable(),
                log.join(" ")
            ));
        }
    }
}

fn number(words: &[&str], place: usize) -> Result<u64, String> {
    let word = words.get(place).ok_or("a number is missing")?;
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

fn cluster(words: &[&str]) -> Result<Network, String> {
    let mut limits = cluster::raft::Limits::default();
    let mut bugs = cluster::bug::Bugs::NONE;
    for word in &words[1..] {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` has no value"))?;
        let size = || value.parse().map_err(|_| format!("`{value}` is no number"));
        match name {
            "appends" => limits.append_entries = size()?,
            "in-flight" => limits.appends_in_flight = size()?,
            "uncommitted" => limits.uncommitted_bytes = size()?,
            "reads" => limits.reads_waiting = size()?,
            "bug" => bugs = bugs.with(value.parse().map_err(|error| format!("{error}"))?),
            _ => return Err(format!("unknown setting `{name}`")),
        }
    }
    Ok(Network::new(number(words, 0)?, |config| {
        config.limits = limits;
        config.bugs = bugs;
    }))
}

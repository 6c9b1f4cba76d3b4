//! The language of the golden scripts: one command a line, after `> `.
//!
//! | command | what happens |
//! |---|---|
//! | `cluster N [appends=E in-flight=F uncommitted=BYTES apply=E tail=E reads=R lag=L lease=MS drift=PPM bug=NAME]` | N started nodes |
//! | `election N` · `heartbeat N` · `contact N` | that timer of the node fires |
//! | `elect N` | contact timers fire, the node campaigns, everything settles |
//! | `propose N a b` · `read N TAG…` | clients ask |
//! | `lease N TAG…` | clients ask, and are content with a lease |
//! | `clock N MS` | both clocks of the node say so from here on |
//! | `join N` | a new node that waits to be told of a cluster |
//! | `learn N M` · `promote N M` · `remove N M` · `voters N M…` | N is to change the cluster, as request 800 |
//! | `transfer N [TO]` | the node is to hand its leadership over, as request 900 |
//! | `deliver` | until nothing is in flight |
//! | `deliver A B` · `drop A B` · `again A B` | what is in flight now from A to B: delivered, lost, sent twice |
//! | `durable N` | what the node has written is synced |
//! | `settle` | deliver and sync until nothing happens |
//! | `isolate N` · `cut A B` · `heal` | links, for messages sent from now on |
//! | `crash N` · `restart N` | what was not synced is gone |
//! | `snapshot N` | the node writes a snapshot of what it has applied |
//! | `arrive A B` · `break A B` | the oldest snapshot on its way from A to B: arrived, or not |
//! | `offer A B` | A's newest snapshot reaches B although nobody asked for it now |
//! | `status` | every node in a line |
//! | `quiet COMMAND` | the same, without its lines |

use crate::network::Network;
use cluster::bug::Bugs;
use cluster::raft::{Change, Config, Event, Lease, Limits, Role, Timer};

/// A script being run.
pub(crate) struct Script {
    network: Network,
    settings: Settings,
}

/// What every node of a script is started with.
#[derive(Clone, Default)]
struct Settings {
    limits: Limits,
    lease: Option<Lease>,
    bugs: Bugs,
}

impl Settings {
    fn adjust(self) -> impl Fn(&mut Config) {
        move |config| {
            config.limits = self.limits;
            config.lease = self.lease;
            config.bugs = self.bugs;
        }
    }
}

impl Script {
    pub(crate) fn new() -> Script {
        Script { network: Network::new(1, |_| {}), settings: Settings::default() }
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
            "cluster" => {
                self.settings = settings(&rest[1..])?;
                self.network = Network::new(number(rest, 0)?, self.settings.clone().adjust());
            }
            "election" => self.network.timeout(number(rest, 0)?, Timer::Election),
            "heartbeat" => self.network.timeout(number(rest, 0)?, Timer::Heartbeat),
            "contact" => self.network.timeout(number(rest, 0)?, Timer::Contact),
            "elect" => self.network.elect(number(rest, 0)?),
            "propose" => {
                self.network.propose(number(rest, 0)?, &rest[1..]);
            }
            "read" => self.read(Event::Read, rest)?,
            "lease" => self.read(Event::ReadByLease, rest)?,
            "clock" => {
                let time = number(rest, 1)?;
                self.network.clock(number(rest, 0)?, time, time);
            }
            "join" => {
                let settings = self.settings.clone();
                self.network.join(number(rest, 0)?, settings.adjust());
            }
            "learn" | "promote" | "remove" | "voters" => {
                self.network.change(number(rest, 0)?, change(verb, &rest[1..])?);
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
            "snapshot" => self.network.snapshot(number(rest, 0)?),
            "offer" => self.network.offer(number(rest, 0)?, number(rest, 1)?),
            "arrive" | "break" => {
                let (from, to) = (number(rest, 0)?, number(rest, 1)?);
                if !self.network.end_transfer(from, to, *verb == "arrive") {
                    return Err(format!("no snapshot is on its way from {from} to {to}"));
                }
            }
            "status" => self.status(),
            _ => return Err(format!("unknown command `{command}`")),
        }
        Ok(std::mem::take(&mut self.network.lines))
    }

    fn read(&mut self, read: fn(Vec<u64>) -> Event, rest: &[&str]) -> Result<(), String> {
        let tags: Result<_, _> = (1..rest.len()).map(|place| number(rest, place)).collect();
        self.network.event(number(rest, 0)?, read(tags?));
        Ok(())
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

fn change(verb: &str, nodes: &[&str]) -> Result<Change, String> {
    let ids: Result<Vec<u64>, _> = (0..nodes.len()).map(|place| number(nodes, place)).collect();
    let ids = ids?;
    let id = *ids.first().ok_or("a node is missing")?;
    Ok(match verb {
        "learn" => Change::AddLearner { id, address: format!("at:{id}").into() },
        "promote" => Change::Promote { id },
        "remove" => Change::Remove { id },
        _ => Change::Voters(ids.into_iter().collect()),
    })
}

fn settings(words: &[&str]) -> Result<Settings, String> {
    let mut settings = Settings::default();
    let limits = &mut settings.limits;
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` has no value"))?;
        let size = || value.parse().map_err(|_| format!("`{value}` is no number"));
        match name {
            "appends" => limits.append_entries = size()?,
            "in-flight" => limits.appends_in_flight = size()?,
            "apply" => limits.apply_entries = size()?,
            "tail" => limits.tail_entries = size()? as u64,
            "uncommitted" => limits.uncommitted_bytes = size()?,
            "reads" => limits.reads_waiting = size()?,
            "lag" => limits.catch_up_entries = size()? as u64,
            "lease" => {
                let election_us = size()? as u64 * 1000;
                settings.lease = Some(Lease { election_us, drift_ppm: 0 });
            }
            "drift" => {
                let lease = settings.lease.as_mut().ok_or("a drift without a lease")?;
                lease.drift_ppm = size()? as u64;
            }
            "bug" => settings.bugs = settings.bugs.with(value.parse().map_err(|e| format!("{e}"))?),
            _ => return Err(format!("unknown setting `{name}`")),
        }
    }
    Ok(settings)
}

//! The lines of `cluster.jsonl`: what was observed of the nodes, the phases and the harness itself.
//!
//! The first line is a header, `{"cluster":1}`; each further line is one observation with its time,
//! appended as it is made. The checks other than the workload's own read these lines, live and from
//! disk alike. Roles and terms are samples by polling: they colour the report and are never proof of
//! a violation.

use crate::event::Phase;
use crate::system::Counters;
use crate::system::maelstrom::unread::Unread;
use history::{Nanos, NodeId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::BufRead;

/// The first line of `cluster.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationHeader {
    /// The format version.
    pub cluster: u32,
}

impl ObservationHeader {
    /// What this version of the harness writes.
    pub const CURRENT: Self = Self { cluster: 1 };
}

/// One observation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When, on the recorder's clock.
    pub time: Nanos,
    /// What.
    #[serde(flatten)]
    pub what: Observed,
}

/// What was observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Observed {
    /// A phase began.
    Phase {
        /// Which.
        phase: Phase,
    },
    /// A node answered a status request.
    Status {
        /// Who.
        node: NodeId,
        /// `leader`, `follower` or `candidate`, as the node says; `running` where it has no such word.
        role: String,
        /// Its term.
        term: u64,
        /// The leader it believes in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leader: Option<NodeId>,
        /// Its commit index.
        commit: u64,
        /// The index of its last entry.
        last: u64,
        /// What it went through since its process started, if it counts that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counters: Option<Counters>,
    },
    /// A node was asked and did not answer.
    Silent {
        /// Who.
        node: NodeId,
    },
    /// A node process started and serves.
    Ready {
        /// Who.
        node: NodeId,
    },
    /// A node process ended.
    Exit {
        /// Who.
        node: NodeId,
        /// How, such as `signal 9` or `exit code 1`.
        status: String,
        /// Why that was to be expected, or not.
        cause: ExitCause,
        /// The last lines of its log, when nothing explains the exit.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log: Vec<String>,
    },
    /// How the harness itself fared since the last such line.
    Harness {
        /// 99th percentile of the delay of a timer, milliseconds.
        stall_p99_ms: f64,
        /// The worst delay of a timer, milliseconds.
        stall_max_ms: f64,
        /// Share of the processors' time that was idle, 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cpu_idle: Option<f64>,
        /// Share of the processors' time that the hypervisor took away, 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cpu_steal: Option<f64>,
        /// Whether the machine was too busy to blame the cluster for being slow.
        starved: bool,
    },
    /// What a node wrote that is not of its protocol, over all its lives, where somebody reads along.
    Protocol {
        /// Who.
        node: NodeId,
        /// How often it wrote what the protocol does not have; at least, if a life was not read to its end.
        broken: u64,
        /// The first of it, in words.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lines: Vec<String>,
        /// What there may be more, and what did not come through.
        #[serde(flatten)]
        unread: Unread,
    },
    /// How often a seeded bug of a node was reached and had an effect; no verdict reads it.
    Mark {
        /// Who.
        node: NodeId,
        /// The seeded bug.
        bug: String,
        /// How often its code ran.
        reached: u64,
        /// How often it made a difference.
        triggered: u64,
    },
    /// A client that is a process of its own did what no client may do.
    Finding {
        /// Whom it asks, or who answered it last, if that is one node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeId>,
        /// What, with the line that it wrote.
        text: String,
    },
    /// It was looked whether nodes reach each other past the proxies, and they do not.
    Audit {
        /// How many sockets of nodes were seen.
        sockets: usize,
        /// How well it was found out so far who calls whom, where that has to be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        callers: Option<crate::deploy::CallersFound>,
    },
    /// It was looked whether nodes reach each other past the proxies, and they do, or it could not be seen: nothing of
    /// this run may be judged.
    Unaudited {
        /// What was seen.
        text: String,
    },
    /// Something else worth keeping, in words.
    Note {
        /// The words.
        text: String,
    },
}

/// Why a node process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitCause {
    /// A fault killed it.
    Fault,
    /// The harness stopped it at the end.
    Stop,
    /// It did not become ready after a restart, and the harness ended it.
    NotReady,
    /// It stopped by itself for a reason that a fault gave it, as a failed sync is.
    Permitted,
    /// Nothing explains it.
    Unexplained,
}

/// Reads a file of one header line and one value a line. A last line without its newline, as a killed
/// writer leaves, is dropped.
///
/// # Errors
/// When the file cannot be read, or a whole line is not what it should be; names the line.
pub fn read_lines<H: DeserializeOwned, T: DeserializeOwned>(
    mut file: impl BufRead,
) -> Result<Option<(H, Vec<T>)>, String> {
    let mut header = None;
    let mut values = Vec::new();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        file.read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
        if line.last() != Some(&b'\n') {
            break;
        }
        let at = |e: serde_json::Error| format!("line {number}: {e}");
        if number == 1 {
            header = Some(serde_json::from_slice(&line).map_err(at)?);
        } else {
            values.push(serde_json::from_slice(&line).map_err(at)?);
        }
    }
    Ok(header.map(|header| (header, values)))
}

#[cfg(test)]
mod tests {
    use super::{ExitCause, Observation, ObservationHeader, Observed, read_lines};
    use history::{Nanos, NodeId};

    #[test]
    fn lines_read_back_and_a_torn_one_is_dropped() {
        let exit = Observation {
            time: Nanos(5),
            what: Observed::Exit {
                node: NodeId(2),
                status: "signal 9".to_owned(),
                cause: ExitCause::NotReady,
                log: Vec::new(),
            },
        };
        let line = serde_json::to_string(&exit).unwrap();
        assert_eq!(
            line,
            r#"{"time":5,"type":"exit","node":"n2","status":"signal 9","cause":"not-ready"}"#
        );
        let text = format!("{{\"cluster\":1}}\n{line}\n{{\"time\":7,\"ty");
        let (header, lines): (ObservationHeader, Vec<Observation>) =
            read_lines(text.as_bytes()).unwrap().unwrap();
        assert_eq!(header, ObservationHeader::CURRENT);
        assert_eq!(lines, [exit]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let text = "{\"cluster\":1}\nnonsense\n";
        let error = read_lines::<ObservationHeader, Observation>(text.as_bytes()).unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
    }
}

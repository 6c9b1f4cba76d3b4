//! What the harness and its guardian say to each other: JSON lines over a socket pair, each side's
//! lines and queues bounded, so that neither can exhaust the other.

use faults::Ration;
use history::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// The longest line either side accepts, in bytes. A longer one is a broken peer.
pub(super) const LINE_LIMIT_BYTES: usize = 256 * 1024;

/// The file descriptor on which a node finds the write end of its ready pipe.
///
/// High enough that nothing the guardian opens, nor the standard library's own pipe for reporting a
/// failed exec, ever has this number.
pub const READY_FD: i32 = 200;

/// How to start one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spawn {
    /// The node it will be.
    pub node: NodeId,
    /// The program; `/proc/self/exe` is the guardian's own, which is the harness's.
    pub program: PathBuf,
    /// Its arguments, the program's name not among them.
    pub args: Vec<String>,
    /// Variables to add to the environment it inherits.
    pub env: Vec<(String, String)>,
    /// The file its stdout and stderr are appended to.
    pub log: PathBuf,
    /// The network it lives in; none for the guardian's own.
    #[serde(default)]
    pub network: Option<Network>,
}

/// Where the namespaces are that a node enters before it is exec'd: links to open descriptors below `/proc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The user namespace to which the other belongs, unless that is everybody's.
    pub user: Option<PathBuf>,
    /// The network namespace.
    pub net: PathBuf,
}

/// A signal the guardian sends to a whole process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeSignal {
    /// SIGKILL: at once, with nothing flushed by the node itself.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGTERM: stop in good order.
    Terminate,
}

/// From the harness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Request {
    /// Start a node.
    Spawn {
        /// Names the reply.
        id: u64,
        /// How.
        spawn: Spawn,
    },
    /// Signal a node's process group.
    Signal {
        /// Names the reply.
        id: u64,
        /// Which node.
        node: NodeId,
        /// What.
        signal: NodeSignal,
    },
    /// Let a node's process group run by turns only, until it is sent any signal or told otherwise.
    Ration {
        /// Names the reply.
        id: u64,
        /// Which node.
        node: NodeId,
        /// For how long it runs and is stopped; none to let it run.
        ration: Option<Ration>,
    },
    /// Remove these files at the end, after every process that may use them.
    Sweep {
        /// Names the reply.
        id: u64,
        /// The files.
        files: Vec<PathBuf>,
    },
}

/// From the guardian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Notice {
    /// The guardian has taken its place.
    Here,
    /// A request was carried out on this process.
    Done {
        /// Of the request.
        id: u64,
        /// Of the node; 0 where the request was about none.
        pid: i32,
    },
    /// A request could not be carried out.
    Failed {
        /// Of the request.
        id: u64,
        /// Why, as a fragment.
        reason: String,
    },
    /// The first line a node wrote to its ready pipe.
    Ready {
        /// Which node.
        node: NodeId,
        /// Its process.
        pid: i32,
        /// The line, without its end.
        line: String,
    },
    /// A node's process ended and was reaped.
    Exited {
        /// Which node.
        node: NodeId,
        /// Its process, of which nothing is left.
        pid: i32,
        /// How it ended.
        status: ExitStatus,
    },
    /// The guardian is about to kill everything and exit.
    Leaving {
        /// Why, as a fragment.
        reason: String,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitStatus {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl ExitStatus {
    /// Whether it ended as a process that was asked to stop should.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(known) => write!(f, "{known}"),
                Err(_) => write!(f, "signal {signal}"),
            },
        }
    }
}

/// One message as a line.
pub(super) fn line<T: Serialize>(message: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(message)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Cuts a stream of bytes into lines, refusing one that never ends.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
}

/// A line passed [`LINE_LIMIT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than {LINE_LIMIT_BYTES} bytes")]
pub(super) struct LineTooLong;

impl Lines {
    /// Takes in what was read and returns the lines it completed, without their ends.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut complete = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.pending.len() + piece.len() > LINE_LIMIT_BYTES {
                return Err(LineTooLong);
            }
            self.pending.extend_from_slice(piece);
            if self.pending.last() == Some(&b'\n') {
                self.pending.pop();
                complete.push(std::mem::take(&mut self.pending));
            }
        }
        Ok(complete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_reads_fall() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"ab").expect("short"), Vec::<Vec<u8>>::new());
        assert_eq!(lines.push(b"c\nde\nf").expect("short"), vec![b"abc".to_vec(), b"de".to_vec()]);
        assert_eq!(lines.push(b"\n").expect("short"), vec![b"f".to_vec()]);
    }

    #[test]
    fn a_line_that_never_ends_is_refused() {
        let mut lines = Lines::default();
        assert!(lines.push(&vec![b'x'; LINE_LIMIT_BYTES]).is_ok());
        assert_eq!(lines.push(b"x"), Err(LineTooLong));
    }

    #[test]
    fn a_message_survives_its_line() {
        let request = Request::Signal { id: 7, node: NodeId(3), signal: NodeSignal::Stop };
        let bytes = line(&request).expect("plain values");
        assert_eq!(bytes.last(), Some(&b'\n'));
        let back: Request = serde_json::from_slice(&bytes).expect("its own form");
        assert_eq!(back, request);
    }
}

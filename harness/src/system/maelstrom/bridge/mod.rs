//! `harness maelstrom`: an unmodified Maelstrom node as a node of a run; only a deployment starts it.
//!
//! Maelstrom's nodes read messages from their standard input and write them to their standard output, and Maelstrom itself is
//! the network between them. Here each node has a bridge of its own, a process that starts the node's program and carries its
//! messages over TCP: to the bridge of another node through the proxies of the run, at an address at which only this node
//! calls that one, so that cuts of one direction, slow links and all else that the proxies do happens to Maelstrom's
//! messages; and to the clients of the harness.
//!
//! | module | what it is |
//! |---|---|
//! | `message` | what a line is, or why it is none; names and numbers |
//! | `switch` | where each message goes |
//! | `topology` | the neighbours that a node is told, and when |
//! | `queue` | what waits, within bounds |
//! | `wires` | connections |
//! | `program` | the process |
//! | `log` | what stands in the node's log, and how it is found there |
//!
//! It ends when SIGTERM comes (exit 0) or when the program does (exit 255, with words), so that the end of the one is the end
//! of the other for whoever watches. It does not judge, keep anything on disk, or start a program again.

mod log;
mod message;
mod program;
mod queue;
mod switch;
mod topology;
mod wires;

pub(super) use log::marks;
pub(super) use topology::WORD as TOPOLOGY_WORD;

use crate::exit::{Exit, Failure};
use crate::system::NodeAddresses;
use history::NodeId;
use log::Log;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use program::{Process, Program};
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use switch::Switch;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a node may take to begin: a little less than whoever starts the bridge waits, so that the reason is told.
const INIT_LIMIT: Duration = Duration::from_secs(9);
/// SIGTERM goes to bridge and program together, and the program may be the first to end of it.
const SIGNAL_LATE: Duration = Duration::from_millis(200);

/// The flags of the hidden `harness maelstrom`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// This node
    #[arg(long, value_name = "NODE")]
    pub id: NodeId,
    /// How many nodes there are
    #[arg(long, value_name = "N")]
    pub nodes: u16,
    /// Another node and the address to dial for it; once for each
    #[arg(long = "peer", value_name = "NODE=ADDRESS", value_parser = parse_peer)]
    pub peers: Vec<(NodeId, SocketAddr)>,
    /// Where Maelstrom's services are; without it a node that asks one gets no answer
    #[arg(long, value_name = "ADDRESS")]
    pub services: Option<SocketAddr>,
    /// What marks the bridge's own words in the log, so that no other's are taken for them
    #[arg(long, value_name = "TEXT")]
    pub token: String,
    /// The folder in which the program runs; made if missing
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// An open descriptor that gets one JSON line with both addresses once the node serves
    #[arg(long, value_name = "FD")]
    pub ready_fd: Option<i32>,
    /// The node's program
    #[arg(long, value_name = "PATH")]
    pub bin: PathBuf,
    /// Its arguments
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<String>,
}

fn parse_peer(text: &str) -> Result<(NodeId, SocketAddr), String> {
    let wrong = || format!("`{text}` is not like `n2=127.0.0.1:7002`");
    let (node, address) = text.split_once('=').ok_or_else(wrong)?;
    Ok((node.parse().map_err(|_| wrong())?, address.parse().map_err(|_| wrong())?))
}

/// Runs a node to its end.
///
/// # Errors
/// A [`Failure`] that says why it could not start or go on.
pub fn enter(args: &Args) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| broken("start", &error))?;
    // On this thread, which lives as long as the process: the program dies with the thread that started it.
    runtime.block_on(run(args))
}

fn broken(what: &str, error: &std::io::Error) -> Failure {
    Failure::environment(format!("the bridge cannot {what}: {error}"))
}

async fn run(args: &Args) -> Result<Exit, Failure> {
    let ready = args.ready_fd.map(take_descriptor).transpose()?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| broken("hear signals", &e))?;
    std::fs::create_dir_all(&args.data).map_err(|e| broken("make the node's folder", &e))?;
    let (peers, clients) = (listen().await?, listen().await?);
    let address = |listener: &TcpListener| listener.local_addr().map_err(|e| broken("listen", &e));
    let addresses = NodeAddresses { peer: address(&peers)?, client: address(&clients)? };
    let switch = Switch::new(args.id.0, args.nodes, Log::standard(&args.token));
    let program = Program::start(&args.bin, &args.arguments, &args.data)?;
    let (mut process, input, output) = program.into_parts();
    // Before anything that others say can be on its way to the node.
    switch.initiate();
    let mut tasks = JoinSet::new();
    tasks.spawn(program::write(Arc::clone(&switch), input));
    tasks.spawn(wires::hear_peers(peers, Arc::clone(&switch)));
    tasks.spawn(wires::serve_clients(clients, Arc::clone(&switch)));
    for (peer, address) in &args.peers {
        let queue = switch.to_peer(peer.0).ok_or_else(|| {
            Failure::usage(format!(
                "`--peer {peer}`: the other nodes are among n1 to n{}",
                args.nodes
            ))
        })?;
        tasks.spawn(wires::carry(queue, *address));
    }
    if let Some(services) = args.services {
        tasks.spawn(wires::consult(Arc::clone(&switch), services));
    }
    switch.log().begun();
    let mut reading = tokio::spawn(program::read(Arc::clone(&switch), output));
    let serving = async {
        begin(&switch).await?;
        switch.begun();
        ready.map_or(Ok(()), |pipe| announce(pipe, addresses))?;
        // Until something else ends it.
        std::future::pending::<Result<(), Failure>>().await
    };
    let ended = tokio::select! {
        _ = terminate.recv() => None,
        how = process.ended() => Some(how),
        Err(failure) = serving => return Err(failure),
    };
    let how = finish(ended, process, &mut terminate).await;
    // A process that it left may keep the pipe open, and then nobody knows whether that was all.
    if let Ok(Ok(rest)) = timeout(SIGNAL_LATE, &mut reading).await {
        // One that was told to end may have been in the middle of a line.
        if let (Some(line), Some(_)) = (&rest, &how) {
            switch.node_broke_off(line);
        }
        switch.log().ended();
    }
    let ended = |how| Failure::environment(format!("the node's program ended by itself ({how})"));
    how.map_or(Ok(Exit::Valid), |how| Err(ended(how)))
}

/// Whether the program ended by itself, and how; none if SIGTERM was the reason, which may be in the middle of a line.
async fn finish(ended: Option<String>, process: Process, terminate: &mut Signal) -> Option<String> {
    let Some(how) = ended else {
        process.end().await;
        return None;
    };
    // The signal went to both, and the program may have been the first to heed it.
    timeout(SIGNAL_LATE, terminate.recv()).await.is_err().then_some(how)
}

async fn listen() -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| broken("listen", &error))
}

/// Waits until the node, which was asked to, has begun.
async fn begin(switch: &Switch) -> Result<(), Failure> {
    let answers = switch.to_initiator();
    let answer = async {
        loop {
            if let Some(answer) = switch::begun(&answers.take().await) {
                return answer;
            }
        }
    };
    match timeout(INIT_LIMIT, answer).await {
        Ok(answer) => {
            answer.map_err(|why| Failure::environment(format!("the node did not begin: {why}")))
        }
        Err(_) => Err(Failure::environment(format!(
            "the node did not begin: no answer to `init` within {} s",
            INIT_LIMIT.as_secs()
        ))
        .hint("it reads messages from its standard input and must flush each line that it writes")),
    }
}

/// Takes the descriptor over, and keeps it from the node's program.
fn take_descriptor(fd: i32) -> Result<File, Failure> {
    let unopened = || Failure::usage(format!("descriptor {fd} in `--ready-fd` is not open"));
    if std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err() {
        return Err(unopened());
    }
    // SAFETY: it is open, as was just seen, and nothing in this process closes it meanwhile.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|_| unopened())?;
    // SAFETY: whoever started this process opened it for the line that is written to it, and said so; nothing else in this
    // process uses it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

fn announce(mut pipe: File, addresses: NodeAddresses) -> Result<(), Failure> {
    let line =
        serde_json::to_string(&addresses).map_err(|error| broken("be ready", &error.into()))?;
    pipe.write_all(format!("{line}\n").as_bytes()).map_err(|error| broken("be ready", &error))
}

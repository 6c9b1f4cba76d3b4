//! The relays of one run: a port for each ordered pair of nodes, one thread, and the rules in effect.

use super::Messages;
use super::active::Rules;
use super::connection;
use super::line::Line;
use super::rule::{MessageCounts, MessageRule};
use crate::link::Link;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Connections carried at once.
const CONNECTIONS: usize = 1024;
/// How often old messages may be sent again.
const MOMENT: Duration = Duration::from_millis(50);
/// How probable that is on each link, in percent.
const REPLAYED: u64 = 25;
/// How long dropping them waits for their thread.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
/// After a connection could not be accepted, as when there are no descriptors left.
const BREATH: Duration = Duration::from_millis(20);

/// The relays of one run. See the [module](super).
#[derive(Debug)]
pub struct Relays {
    addresses: BTreeMap<Link, SocketAddr>,
    rules: Arc<Rules>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relays {
    /// Opens a port for each link and starts the thread. What is dialled there is carried to the address given
    /// for the link.
    ///
    /// # Errors
    /// A port cannot be opened or the thread cannot be started.
    pub fn start(upstreams: &BTreeMap<Link, SocketAddr>) -> std::io::Result<Self> {
        let rules = Arc::new(Rules::default());
        let (mut addresses, mut ports) = (BTreeMap::new(), Vec::new());
        for (&link, &upstream) in upstreams {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            port.set_nonblocking(true)?;
            addresses.insert(link, port.local_addr()?);
            ports.push((Arc::new(Line::new(link, upstream, Arc::clone(&rules))), port));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("relays".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(ports) => {}
                    // Its sender is only ever dropped.
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { addresses, rules, stop: Some(stop), thread: Some(thread) })
    }

    /// Where the first node of a link dials the second; none for links that are not carried.
    #[must_use]
    pub fn address(&self, link: Link) -> Option<SocketAddr> {
        self.addresses.get(&link).copied()
    }
}

impl Messages for Relays {
    fn begin(&self, id: u64, links: BTreeSet<Link>, rule: MessageRule, seed: u64) {
        self.rules.begin(id, links, rule, seed);
    }

    fn end(&self, id: u64) -> BTreeMap<Link, MessageCounts> {
        self.rules.end(id)
    }

    fn release(&self) {
        self.rules.clear();
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.stop = None;
        let Some(thread) = self.thread.take() else { return };
        let deadline = Instant::now() + SHUTDOWN_LIMIT;
        while !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
        if thread.is_finished() {
            // A panic of a relay has already been printed, and everything it carried is closed.
            let _ = thread.join();
        }
    }
}

/// The thread's work, which ends only by being dropped.
async fn serve(ports: Vec<(Arc<Line>, TcpListener)>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let lines: Vec<Arc<Line>> = ports.iter().map(|(line, _)| Arc::clone(line)).collect();
    let mut listeners = JoinSet::new();
    for (line, port) in ports {
        // Fails only where there are no descriptors left: then nobody listens, and dialling fails.
        let Ok(port) = tokio::net::TcpListener::from_std(port) else { continue };
        listeners.spawn(listen(line, port, Arc::clone(&room)));
    }
    replay(&lines).await;
}

async fn listen(line: Arc<Line>, port: tokio::net::TcpListener, room: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = port.accept() => {
                let Ok((stream, _)) = accepted else {
                    sleep(BREATH).await;
                    continue;
                };
                // Without room it is closed at once.
                let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
                let line = Arc::clone(&line);
                connections.spawn(async move {
                    connection::carry(line, stream).await;
                    drop(permit);
                });
            }
        }
    }
}

/// Sends old messages again where a rule says so: some right when it begins, others by and by.
async fn replay(lines: &[Arc<Line>]) {
    let mut ticks = interval(MOMENT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for moment in 0.. {
        ticks.tick().await;
        for line in lines {
            let Some(active) = line.rules.of(line.link).filter(|active| active.rule.replay) else {
                continue;
            };
            if active.draws(line.link, moment).chance(REPLAYED) {
                line.replay(&active, moment);
            }
        }
    }
}

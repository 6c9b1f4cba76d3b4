//! From a plan to a stage: files opened, nodes started behind their proxies, observer and watches running.

use super::audits::Audits;
use super::client_notes::RunNotes;
use super::signals::Signals;
use super::stage::Stage;
use super::world::World;
use super::{Options, unwritable};
use crate::deploy::{Deployment, DeploymentRecord, NodePaths, Settings};
use crate::event::{Event, Phase, Sink};
use crate::exit::Failure;
use crate::guardian::Guardian;
use crate::observer::{Nodes, Observer};
use crate::plan::Plan;
use crate::recorder::{Journal, Lines, Recorder, Revisions};
use crate::results::{Observed, RunFolder, write_json};
use crate::seed::Seed;
use crate::stall::Watch;
use crate::system::{self, Asides, ClientSettings, Companion, NodeSettings, Probe, Route, System};
use crate::worker::{Clients, Desk};
use history::{Header, NodeId};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use workloads::KvClient;

/// What was there before anything of the run was.
pub(super) struct Ground<'a> {
    pub(super) plan: &'a Plan,
    pub(super) folder: &'a RunFolder,
    pub(super) options: &'a Options,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) guardian: Guardian,
    pub(super) signals: Signals,
    pub(super) origin: Instant,
}

/// Starts everything that the phases need; when this returns every node serves.
pub(super) async fn start(ground: Ground<'_>) -> Result<Stage<'_>, Failure> {
    let Ground { plan, folder, options, sink, guardian, signals, origin } = ground;
    let workload = workloads::by_name(&plan.workload)
        .ok_or_else(|| Failure::usage(format!("unknown workload `{}`", plan.workload)))?;
    let nodes: Vec<NodeId> = (1..=plan.nodes).map(NodeId).collect();
    let mut settings = settings(plan, folder, &nodes)?;
    let companion = companion(settings.system, plan)?;
    settings.node.companion = companion.as_ref().map(|companion| companion.address);
    let files = Files::create(plan, folder, options, origin)?;
    let Files { header, recorder, journal, receipts } = files;
    let revisions = revisions(settings.system, folder, &recorder)?;
    let stalls = Watch::start()
        .map_err(|e| Failure::environment(format!("a thread cannot be started: {e}")))?;
    tokio::spawn(stalls.probe());

    journal.observe(Observed::Phase { phase: Phase::Deploy });
    sink.emit(Duration::from_nanos(recorder.now().0), Event::Started(Phase::Deploy));
    let deployment = deploy(guardian, settings, Arc::clone(&recorder)).await?;
    super::stage::keep_changes(&deployment, Arc::clone(&journal));
    let record = DeploymentRecord { directory: plan.directory(), ..deployment.record() };
    write_json(&folder.deployment_json(), &record).map_err(unwritable)?;

    let direct = Arc::new(Direct(deployment.clone()));
    // Nodes that cannot say who leads have nothing to say.
    let asked = if deployment.system().has_leaders() { &nodes[..] } else { &[] };
    let observer = Observer::start(asked, direct, Arc::clone(&journal));
    let view = observer.view();
    let clients = plan.clients.total();
    let notes = Arc::new(RunNotes::new(Arc::clone(&journal), clients, folder.clients_log()));
    let hears = Arc::clone(&notes);
    let asides = Asides { notes: hears, revisions: revisions.clone() };
    let desk = desk(plan, workload.name(), &deployment, Arc::clone(&recorder), asides);
    let world = World::new(recorder, Arc::clone(&view), receipts, Arc::clone(&sink));
    let audits = Audits::start(deployment.clone(), Arc::clone(&journal), world.healed());
    let stage = Stage {
        plan,
        folder,
        options,
        sink,
        workload,
        header,
        nodes,
        deployment,
        desk,
        journal,
        revisions,
        notes,
        observer,
        view,
        world,
        audits,
        signals,
        stalls,
        companion,
    };
    let links = stage.nodes.len() * stage.nodes.len().saturating_sub(1);
    stage.emit(Event::Deployed { nodes: stage.nodes.clone(), links });
    Ok(stage)
}

/// The files that grow while the run goes on, with what was written first.
struct Files {
    header: Header,
    recorder: Arc<Recorder>,
    journal: Arc<Journal>,
    receipts: Lines,
}

impl Files {
    fn create(
        plan: &Plan,
        folder: &RunFolder,
        options: &Options,
        origin: Instant,
    ) -> Result<Self, Failure> {
        let mut header = Header::new(plan.workload.clone());
        header.seed = Some(plan.seed.to_string());
        header.start = Some(jiff::Timestamp::now().to_string());
        let recorder = Recorder::start_at(origin, create(&folder.history())?, &header)
            .map_err(|e| Failure::environment(e.to_string()))?;
        // Only an early look reads them from memory.
        let recorder = if options.fail_fast { recorder.keep_events() } else { recorder };
        let recorder = Arc::new(recorder);
        let refused = |path: &Path, e: std::io::Error| {
            Failure::environment(format!("cannot write {}: {e}", path.display()))
        };
        let journal = Journal::start(Arc::clone(&recorder), create(&folder.cluster())?)
            .map_err(|e| refused(&folder.cluster(), e))?;
        let receipts = Lines::start(create(&folder.faults())?, &json!({"faults": 1}))
            .map_err(|e| refused(&folder.faults(), e))?;
        Ok(Self { header, recorder, journal: Arc::new(journal), receipts })
    }
}

async fn deploy(
    guardian: Guardian,
    settings: Settings,
    recorder: Arc<Recorder>,
) -> Result<Deployment, Failure> {
    let start = move || Deployment::start(guardian, settings, Arc::new(move || recorder.now()));
    match tokio::task::spawn_blocking(start).await {
        Ok(started) => Ok(started?),
        Err(e) => Err(Failure::environment(format!("the deployment failed: {e}"))),
    }
}

/// The file of revisions, for a system that has some.
fn revisions(
    system: &dyn System,
    folder: &RunFolder,
    recorder: &Arc<Recorder>,
) -> Result<Option<Arc<Revisions>>, Failure> {
    if !system.has_revisions() {
        return Ok(None);
    }
    let path = folder.revisions();
    let started = Revisions::start(Arc::clone(recorder), create(&path)?);
    let started = started
        .map_err(|e| Failure::environment(format!("cannot write {}: {e}", path.display())))?;
    Ok(Some(Arc::new(started)))
}

/// What the system needs beside its nodes.
fn companion(system: &dyn System, plan: &Plan) -> Result<Option<Companion>, Failure> {
    let started = system.companion(plan.seed.derive("companion"));
    started.map_err(|e| {
        let name = system.name();
        Failure::environment(format!("what {name} needs beside its nodes cannot start: {e}"))
    })
}

fn desk(
    plan: &Plan,
    workload: &'static str,
    deployment: &Deployment,
    recorder: Arc<Recorder>,
    asides: Asides,
) -> Desk {
    let clients = SystemClients {
        system: deployment.system(),
        addresses: deployment.client_addresses(),
        attempt: plan.attempt,
        leases: plan.lease_drift_ppm.is_some(),
        workload,
        asides,
        next: AtomicUsize::new(0),
    };
    Desk { recorder, clients: Arc::new(clients), deadline: plan.deadline }
}

fn settings(plan: &Plan, folder: &RunFolder, nodes: &[NodeId]) -> Result<Settings, Failure> {
    let system = system::select(&plan.selection())?;
    let lost = |e| Failure::environment(format!("the working directory is gone: {e}"));
    let shim = std::path::absolute(folder.clock_shim()).map_err(lost)?;
    let mut paths = BTreeMap::new();
    for node in nodes {
        folder.create_node(*node).map_err(unwritable)?;
        let of = NodePaths::of(folder, *node).map_err(lost)?;
        paths.insert(*node, of);
    }
    Ok(Settings {
        system,
        nodes: paths,
        node: NodeSettings {
            heartbeat: plan.heartbeat,
            election: plan.election,
            segment_bytes: plan.segment_bytes,
            snapshot_every: plan.snapshot_every,
            replaceable: plan.schedule.classes().contains(&"membership"),
            lease_drift_ppm: plan.lease_drift_ppm,
            pre_vote: plan.pre_vote,
            bug: plan.bug.clone(),
            companion: None,
            token: token()?,
        },
        slow_node: plan.slow_node,
        clock_shim: plan.has_clock_faults().then_some(shim),
        relays: plan.faults.iter().any(|class| class == "message"),
        shared_network: plan.shared_network.is_some(),
    })
}

/// A word that nobody can guess.
fn token() -> Result<String, Failure> {
    let drawn = Seed::draw();
    let drawn = drawn.map_err(|e| Failure::environment(format!("nothing can be drawn: {e}")))?;
    Ok(format!("{:x}", drawn.0))
}

/// A file that is appended to for the whole run and was not there before.
fn create(path: &Path) -> Result<File, Failure> {
    File::options()
        .append(true)
        .create_new(true)
        .open(path)
        .map_err(|e| Failure::environment(format!("cannot create {}: {e}", path.display())))
}

/// Nodes as the observer sees them: asked directly, past the proxies.
struct Direct(Deployment);

impl Nodes for Direct {
    fn address(&self, node: NodeId) -> Option<SocketAddr> {
        self.0.address(node)
    }

    fn probe(&self, address: SocketAddr) -> Box<dyn Probe> {
        self.0.probe(address)
    }
}

/// Clients as workers get them: through the proxies.
struct SystemClients {
    system: &'static dyn System,
    addresses: BTreeMap<NodeId, SocketAddr>,
    attempt: Duration,
    /// Whether those who only read ask for reads by lease; all others, the final reads too, ask a quorum.
    leases: bool,
    workload: &'static str,
    /// Who hears what they say beside their answers.
    asides: Asides,
    /// So that clients that follow the leader do not all ask the same node first.
    next: AtomicUsize,
}

impl Clients for SystemClients {
    fn client(&self, node: Option<NodeId>, reader: bool) -> Box<dyn KvClient> {
        let settings = ClientSettings {
            route: node.map_or(Route::Leader, Route::Node),
            addresses: self.addresses.clone(),
            attempt: self.attempt,
            lease_reads: self.leases && reader,
            first: self.next.fetch_add(1, Ordering::Relaxed),
            workload: self.workload,
        };
        self.system.client_with(&settings, &self.asides)
    }
}

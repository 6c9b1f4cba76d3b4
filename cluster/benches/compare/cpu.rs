//! Processor time: of the servers, of this process, and of everyone else on the machine.

use std::fs;
use std::time::Instant;

use nix::unistd::{SysconfVar, sysconf};

use crate::Result;

/// Processor time in microseconds up to an instant.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    at: Instant,
    servers: u64,
    client: u64,
    /// Children that are not measured now, but run.
    idle: u64,
    everyone: u64,
}

/// What was used between two samples.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) seconds: f64,
    pub(crate) servers_us: u64,
    pub(crate) client_cores: f64,
    pub(crate) others_cores: f64,
}

/// Takes a sample.
pub(crate) fn sample(servers: &[u32], idle: &[u32]) -> Result<Sample> {
    let sum = |pids: &[u32]| pids.iter().map(|pid| process(&pid.to_string())).sum::<Result<u64>>();
    Ok(Sample {
        at: Instant::now(),
        servers: sum(servers)?,
        client: process("self")?,
        idle: sum(idle)?,
        everyone: machine()?,
    })
}

impl Sample {
    /// What was used since an earlier sample.
    pub(crate) fn since(&self, earlier: &Sample) -> Used {
        let seconds = (self.at - earlier.at).as_secs_f64();
        let (servers, client) = (self.servers - earlier.servers, self.client - earlier.client);
        let own = servers + client + (self.idle - earlier.idle);
        let others = (self.everyone - earlier.everyone).saturating_sub(own);
        let cores = |micros: u64| micros as f64 / 1e6 / seconds;
        let (client_cores, others_cores) = (cores(client), cores(others));
        Used { seconds, servers_us: servers, client_cores, others_cores }
    }
}

fn tick_us() -> Result<u64> {
    let ticks = sysconf(SysconfVar::CLK_TCK)?.ok_or("the length of a tick is not known")?;
    Ok(1_000_000 / u64::try_from(ticks)?.max(1))
}

/// User and system time of all threads of a process.
fn process(pid: &str) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name is in parentheses and may hold anything; the state is the first field after it.
    let (_, fields) = stat.rsplit_once(')').ok_or("a line of /proc has no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [user, system] = [11, 12].map(|place| fields.get(place).copied().unwrap_or_default());
    Ok((user.parse::<u64>()? + system.parse::<u64>()?) * tick_us()?)
}

/// Time in which processors ran anything but interrupts, which the loads measured here cause themselves.
fn machine() -> Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("/proc/stat is empty")?;
    let fields = line.split_whitespace().skip(1).take(3).map(str::parse::<u64>);
    Ok(fields.sum::<std::result::Result<u64, _>>()? * tick_us()?)
}

//! What is measured, and how ours and etcd's take turns.

use std::time::Duration;

use crate::client::Who;
use crate::failover::{Gap, kill_leader};
use crate::load::{Load, Series, Window, fill, window};
use crate::processes::Cluster;
use crate::table::{Asked, Line, median, say};
use crate::{Result, Wanted};

/// The rows by name.
pub(crate) const ROWS: [&str; 5] = ["writes", "session", "latency", "reads", "failover"];

/// With more processor time than this used by others, in cores, a window says little of wall time.
const OTHERS: f64 = 0.1;

/// The clusters that are compared.
pub(crate) struct Pair {
    pub(crate) ours: Cluster,
    pub(crate) etcd: Option<Cluster>,
}

impl Pair {
    fn of(&self, who: Who) -> Option<(&Cluster, Option<&Cluster>)> {
        match who {
            Who::Ours => Some((&self.ours, self.etcd.as_ref())),
            Who::Etcd => self.etcd.as_ref().map(|etcd| (etcd, Some(&self.ours))),
        }
    }

    /// Windows of several series, one of each in turn.
    async fn alternate(&self, wanted: &Wanted, series: &[Series]) -> Result<Vec<Vec<Window>>> {
        let mut windows = vec![Vec::new(); series.len()];
        for _ in 0..wanted.rounds {
            for (series, windows) in series.iter().zip(&mut windows) {
                let Some((cluster, idle)) = self.of(series.who) else { continue };
                let seen = window(cluster, idle, series.load, wanted.window).await?;
                tell(series, &seen)?;
                windows.push(seen);
            }
        }
        Ok(windows)
    }
}

fn tell(series: &Series, window: &Window) -> Result<()> {
    let who = match series.who {
        Who::Ours => "ours",
        Who::Etcd => "etcd",
    };
    let load = format!("{:?}", series.load);
    let syncs = window.syncs.map_or(String::new(), |syncs| format!(", {syncs} syncs"));
    let (others, failures) = (window.used.others_cores, window.failures);
    let failed = if failures > 0 { format!(", {failures} FAILED") } else { String::new() };
    let mark = if others > OTHERS { " (disturbed)" } else { "" };
    Ok(say(&format!(
        "  {who} {load:<18} {:>8.0}/s  {:>7.1} µs servers  p50 {:>7.3} ms  p99 {:>7.3} ms  \
         servers {:.2} client {:.2} others {others:.2} cores{syncs}{failed}{mark}",
        window.per_second(),
        window.servers_us(),
        window.percentile(50),
        window.percentile(99),
        window.used.servers_us as f64 / 1e6 / window.used.seconds,
        window.used.client_cores,
    ))?)
}

/// A line whose two figures are medians over windows.
fn line(
    what: String,
    unit: &'static str,
    asked: Asked,
    (ours, etcd): (&[Window], &[Window]),
    figure: impl Fn(&Window) -> f64,
) -> Line {
    let of = |windows: &[Window]| median(windows.iter().map(&figure));
    let etcd = (!etcd.is_empty()).then(|| of(etcd));
    Line { what, ours: of(ours), etcd, unit, asked }
}

const CPU: &str = "µs";
const RATE: &str = "/s";
const TIME: &str = "ms";

/// Measures one row.
pub(crate) async fn measure(row: &str, pair: &mut Pair, wanted: &Wanted) -> Result<Vec<Line>> {
    match row {
        "writes" => writes(pair, wanted).await,
        "session" => session(pair, wanted).await,
        "latency" => latency(pair, wanted).await,
        "reads" => reads(pair, wanted).await,
        _ => failover(pair, wanted).await,
    }
}

/// Ours and etcd's under one load.
async fn both(pair: &Pair, wanted: &Wanted, load: Load) -> Result<(Vec<Window>, Vec<Window>)> {
    let series = [Who::Ours, Who::Etcd].map(|who| Series { who, load });
    let mut windows = pair.alternate(wanted, &series).await?.into_iter();
    Ok((windows.next().unwrap_or_default(), windows.next().unwrap_or_default()))
}

async fn writes(pair: &Pair, wanted: &Wanted) -> Result<Vec<Line>> {
    let (ours, etcd) = both(pair, wanted, Load::Write(256)).await?;
    let both = (&ours[..], &etcd[..]);
    let what = |what: &str| format!("writes, 256 clients, unary: {what}");
    Ok(vec![
        line(what("servers' CPU a write"), CPU, Asked::AtMost(0.4), both, Window::servers_us),
        line(what("writes"), RATE, Asked::AtLeast(2.0), both, Window::per_second),
        line(what("p50"), TIME, Asked::Nothing, both, |w| w.percentile(50)),
        line(what("p99"), TIME, Asked::Nothing, both, |w| w.percentile(99)),
    ])
}

/// Streams of ours beside unary calls of etcd, which has no such stream, with as much outstanding.
async fn session(pair: &Pair, wanted: &Wanted) -> Result<Vec<Line>> {
    let ours = Series { who: Who::Ours, load: Load::WriteStream(4, 64) };
    let etcd = Series { who: Who::Etcd, load: Load::Write(256) };
    let windows = pair.alternate(wanted, &[ours, etcd]).await?;
    let both = (&windows[0][..], &windows[1][..]);
    let what =
        |what: &str| format!("writes, 4 session streams of 64 (etcd: 256 clients, unary): {what}");
    Ok(vec![
        line(what("writes"), RATE, Asked::AtLeast(6.0), both, Window::per_second),
        line(what("servers' CPU a write"), CPU, Asked::Nothing, both, Window::servers_us),
        line(what("p50"), TIME, Asked::Nothing, both, |w| w.percentile(50)),
        line(what("p99"), TIME, Asked::Nothing, both, |w| w.percentile(99)),
    ])
}

async fn latency(pair: &Pair, wanted: &Wanted) -> Result<Vec<Line>> {
    let unary = Series { who: Who::Ours, load: Load::Write(1) };
    let etcd = Series { who: Who::Etcd, load: Load::Write(1) };
    let stream = Series { who: Who::Ours, load: Load::WriteStream(1, 1) };
    let windows = pair.alternate(wanted, &[unary, etcd, stream]).await?;
    let p50 = |what: &str, asked, ours: usize| {
        let what = format!("one client: p50 of a write, {what}");
        line(what, TIME, asked, (&windows[ours], &windows[1]), |w| w.percentile(50))
    };
    Ok(vec![
        p50("unary", Asked::AtMost(0.85), 0),
        p50("session stream (etcd: unary)", Asked::AtMost(0.6), 2),
    ])
}

async fn reads(pair: &Pair, wanted: &Wanted) -> Result<Vec<Line>> {
    fill(&pair.ours).await?;
    if let Some(etcd) = &pair.etcd {
        fill(etcd).await?;
    }
    let unary = Series { who: Who::Ours, load: Load::Read(64) };
    let etcd = Series { who: Who::Etcd, load: Load::Read(64) };
    let stream = Series { who: Who::Ours, load: Load::ReadStream(4, 16) };
    let windows = pair.alternate(wanted, &[unary, etcd, stream]).await?;
    let mut lines = Vec::new();
    for (place, how) in [(0, "64 clients, unary"), (2, "4 streams of 16 (etcd: 64, unary)")] {
        let both = (&windows[place][..], &windows[1][..]);
        let what = |what: &str| format!("linearizable reads, {how}: {what}");
        lines.extend([
            line(what("reads"), RATE, Asked::AtLeast(3.0), both, Window::per_second),
            line(what("servers' CPU a read"), CPU, Asked::Nothing, both, Window::servers_us),
            line(what("p50"), TIME, Asked::Nothing, both, |w| w.percentile(50)),
        ]);
    }
    Ok(lines)
}

async fn failover(pair: &mut Pair, wanted: &Wanted) -> Result<Vec<Line>> {
    let (mut ours, mut etcd) = (Vec::new(), Vec::new());
    for _ in 0..wanted.kills {
        ours.push(told("ours", kill_leader(&mut pair.ours).await?)?);
        if let Some(cluster) = &mut pair.etcd {
            etcd.push(told("etcd", kill_leader(cluster).await?)?);
        }
    }
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let line = |what: &str, asked, figure: &dyn Fn(&[Gap]) -> f64| Line {
        what: format!("leader killed, {} times: {what}", wanted.kills),
        ours: figure(&ours),
        etcd: (!etcd.is_empty()).then(|| figure(&etcd)),
        unit: TIME,
        asked,
    };
    let gap = |gaps: &[Gap]| median(gaps.iter().map(|gap| milliseconds(gap.whole)));
    let after = |gaps: &[Gap]| percentile_95(gaps.iter().map(|gap| milliseconds(gap.from_timeout)));
    let what = "first survivor's timeout to an acknowledged write, p95";
    Ok(vec![
        line(what, Asked::Below(100.0), &after),
        line("kill to an acknowledged write, median", Asked::AtMost(1.1), &gap),
    ])
}

fn told(who: &str, gap: Gap) -> Result<Gap> {
    say(&format!("  {who} killed: {:?}, {:?} after the timeout", gap.whole, gap.from_timeout))?;
    Ok(gap)
}

/// The smallest figure that 95 in a hundred do not exceed.
fn percentile_95(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[(figures.len() * 95).div_ceil(100) - 1]
}

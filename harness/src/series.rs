//! `harness run`: one run, or several one after the other, and what they come to together.
//!
//! Each run has a folder of its own and the next seed. A violation is never hidden by what comes
//! after it: the worst exit code wins. An interruption ends the series; so does, with
//! `--until-failure`, the first run that is invalid or could not be judged.

use crate::check::read_plan;
use crate::cli::RunArgs;
use crate::event::{Event, Sink};
use crate::exit::{Exit, Failure};
use crate::plan::Plan;
use crate::results::RunFolder;
use crate::run::{self, Finished};
use crate::seed::Seed;
use crate::terminal::style::Style;
use crate::terminal::{self, Terminal, summary};
use crate::verdict::Ruling;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the search at the end of a run may take.
const BUDGET: Duration = Duration::from_secs(60);
/// How much memory it may take.
const MEMORY_BYTES: u64 = 2 << 30;

/// Executes what was asked for and prints what came of it.
///
/// # Errors
/// When no plan can be made of the arguments, or the only run could not be judged.
pub fn execute(args: &RunArgs) -> Result<Exit, Failure> {
    let first = first_plan(args)?;
    match (args.count, args.until_failure) {
        (None, false) => single(args, &first),
        (count, _) => several(args, &first, count),
    }
}

fn first_plan(args: &RunArgs) -> Result<Plan, Failure> {
    if let Some(path) = &args.replay {
        let folder = RunFolder::open(path).map_err(|e| {
            Failure::usage(e.to_string()).hint("`harness list runs` shows the runs there are")
        })?;
        return read_plan(&folder);
    }
    let seed = match args.seed {
        Some(seed) => seed,
        None => {
            Seed::draw().map_err(|e| Failure::environment(format!("cannot draw a seed: {e}")))?
        }
    };
    Plan::resolve(args, seed)
}

fn single(args: &RunArgs, plan: &Plan) -> Result<Exit, Failure> {
    let (finished, folder) = one(args, plan)?;
    let style = Style::stdout();
    let text = if args.json {
        summary::json(&finished.verdict)?
    } else {
        let at = |path: &Path| path.is_file().then(|| path.display().to_string());
        let context = summary::Context {
            workload: plan.workload.clone(),
            counterexample: at(&folder.counterexample()),
            report: at(&folder.report()),
            replay: Some(folder.root().display().to_string()),
            seed: Some(plan.seed.to_string()),
        };
        summary::render(&finished.verdict, &context, &style)
    };
    terminal::to_stdout(&text);
    Ok(finished.exit)
}

/// Runs until the count is reached, or for ever until something fails.
fn several(args: &RunArgs, first: &Plan, count: Option<u64>) -> Result<Exit, Failure> {
    let keep = args.schedule.is_some();
    let mut worst = Exit::Valid;
    let mut rulings = Vec::new();
    for turn in 0..count.unwrap_or(u64::MAX) {
        let plan = if args.replay.is_some() {
            first.clone()
        } else {
            first.with_seed(first.seed.nth(turn), keep)?
        };
        let of = count.map_or(format!("{}", turn + 1), |count| format!("{}/{count}", turn + 1));
        let (ruling, exit) = match one(args, &plan) {
            Ok((finished, folder)) => {
                show(args, &finished, &of, &plan, &folder)?;
                (finished.verdict.verdict, finished.exit)
            }
            Err(failure) if failure.exit == Exit::Usage => return Err(failure),
            Err(failure) => {
                terminal::failure(&failure);
                (Ruling::Error, failure.exit)
            }
        };
        worst = worst.worse(exit);
        rulings.push(ruling);
        let failed = matches!(exit, Exit::Invalid | Exit::Error);
        if exit == Exit::Interrupted || (args.until_failure && failed) {
            break;
        }
    }
    if !args.json {
        terminal::to_stdout(&summary::tally(&rulings, count, &Style::stdout()));
    }
    Ok(worst)
}

fn show(
    args: &RunArgs,
    finished: &Finished,
    of: &str,
    plan: &Plan,
    folder: &RunFolder,
) -> Result<(), Failure> {
    let text = if args.json {
        summary::json_line(&finished.verdict)?
    } else {
        let place = folder.root().display().to_string();
        let seed = plan.seed.to_string();
        summary::one_line(&finished.verdict, of, &seed, &place, &Style::stdout())
    };
    terminal::to_stdout(&text);
    Ok(())
}

/// One run in a folder of its own.
fn one(args: &RunArgs, plan: &Plan) -> Result<(Finished, RunFolder), Failure> {
    let screen = Arc::new(Terminal::new(args.quiet));
    announce(plan, screen.as_ref());
    let stamp = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let folder =
        RunFolder::create(&args.results, &stamp, &plan.workload, plan.seed).map_err(|e| {
            Failure::environment(e.to_string()).hint("`--results DIR` puts run folders elsewhere")
        })?;
    let options =
        run::Options { fail_fast: args.fail_fast, budget: BUDGET, memory_bytes: MEMORY_BYTES };
    let sink: Arc<dyn Sink> = Arc::clone(&screen) as Arc<dyn Sink>;
    let ended = run::execute(plan, &folder, &options, sink);
    screen.finish();
    if ended.is_err()
        && args.json
        && let Ok(document) = std::fs::read_to_string(folder.verdict())
    {
        terminal::to_stdout(&document);
    }
    ended.map(|finished| (finished, folder))
}

fn announce(plan: &Plan, screen: &dyn Sink) {
    let planned = Event::Planned {
        workload: plan.workload.clone(),
        system: plan.system.clone(),
        nodes: plan.nodes,
        clients: plan.clients.total(),
        seed: plan.seed.to_string(),
    };
    screen.emit(Duration::ZERO, planned);
    for one in &plan.omitted {
        let omitted = Event::Omitted { fault: one.fault.clone(), reason: one.reason.clone() };
        screen.emit(Duration::ZERO, omitted);
    }
}

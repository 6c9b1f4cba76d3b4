//! `harness run`: one run, or several one after the other, and what they come to together.
//!
//! Each run has a folder of its own and the next seed. A violation is never hidden by what comes
//! after it: the worst exit code wins. An interruption ends the series, also one that comes between
//! two runs; so does, with `--until-failure`, the first run that is invalid or could not be judged.

use crate::check::{self, read_plan};
use crate::cli::RunArgs;
use crate::event::{Event, Sink};
use crate::exit::{Exit, Failure};
use crate::plan::Plan;
use crate::results::RunFolder;
use crate::run::{self, Finished, Signals};
use crate::seed::Seed;
use crate::terminal::style::Style;
use crate::terminal::{self, Terminal, summary};
use crate::verdict::{Ruling, VerdictDocument};
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
    let signals = Signals::listen()?;
    if is_series(args) { several(args, &first, &signals) } else { single(args, &first, &signals) }
}

/// Prints to stdout. If that fails it is told, and the exit code says so unless it says worse.
fn print(text: &str, exit: Exit) -> Exit {
    match terminal::to_stdout(text) {
        Ok(()) => exit,
        Err(failure) => {
            terminal::failure(&failure);
            exit.worse(failure.exit)
        }
    }
}

fn is_series(args: &RunArgs) -> bool {
    args.count.is_some() || args.until_failure
}

fn first_plan(args: &RunArgs) -> Result<Plan, Failure> {
    if let Some(path) = &args.replay {
        let folder = RunFolder::open(path).map_err(|e| {
            Failure::usage(e.to_string()).hint("`harness list runs` shows the runs there are")
        })?;
        let mut plan = read_plan(&folder)?;
        plan.typed_in = check::typed_in(&folder);
        plan.check().map_err(|failure| Failure {
            message: format!("cannot play {} again: {}", path.display(), failure.message),
            ..failure
        })?;
        return Ok(plan);
    }
    let seed = match args.seed {
        Some(seed) => seed,
        None => {
            Seed::draw().map_err(|e| Failure::environment(format!("cannot draw a seed: {e}")))?
        }
    };
    Plan::resolve(args, seed)
}

fn single(args: &RunArgs, plan: &Plan, signals: &Signals) -> Result<Exit, Failure> {
    let (finished, folder) = one(args, plan, signals)?;
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
    Ok(print(&text, finished.exit))
}

/// Runs until the count is reached, or for ever until something fails.
fn several(args: &RunArgs, first: &Plan, signals: &Signals) -> Result<Exit, Failure> {
    let mut worst = Exit::Valid;
    let mut rulings = Vec::new();
    for number in 0..args.count.unwrap_or(u64::MAX) {
        let (ruling, exit) = match turn(args, first, number, signals) {
            Ok(finished) => (finished.verdict.verdict, finished.exit),
            // What was asked for cannot be done at all.
            Err(failure) if rulings.is_empty() && failure.exit == Exit::Usage => {
                return Err(failure);
            }
            Err(failure) => {
                terminal::failure(&failure);
                (Ruling::Error, failure.exit)
            }
        };
        worst = worst.worse(exit);
        rulings.push(ruling);
        if signals.any() {
            worst = worst.worse(Exit::Interrupted);
            break;
        }
        let failed = matches!(exit, Exit::Invalid | Exit::Error);
        if exit == Exit::Usage || (args.until_failure && failed) {
            break;
        }
    }
    if !args.json {
        let mut text = summary::tally(&rulings, args.count, &Style::stdout());
        if args.replay.is_some() {
            text.push_str(&summary::recurrence(&rulings, &Style::stdout()));
        }
        worst = print(&text, worst);
    }
    Ok(worst)
}

/// One run of several, numbered from 0, and its line.
fn turn(args: &RunArgs, first: &Plan, number: u64, signals: &Signals) -> Result<Finished, Failure> {
    let plan = if args.replay.is_some() {
        first.clone()
    } else {
        first.with_seed(first.seed.nth(number), args.schedule.is_some())?
    };
    let (finished, folder) = one(args, &plan, signals)?;
    let shown = number + 1;
    let of = args.count.map_or(format!("{shown}"), |count| format!("{shown}/{count}"));
    // A violation counts even where its line cannot be made.
    if let Err(failure) = show(args, &finished, &of, &plan, &folder) {
        terminal::failure(&failure);
    }
    Ok(finished)
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
    terminal::to_stdout(&text)
}

/// One run in a folder of its own. With `--json` a run that failed has a document too.
fn one(args: &RunArgs, plan: &Plan, signals: &Signals) -> Result<(Finished, RunFolder), Failure> {
    let screen = Arc::new(Terminal::new(args.quiet));
    announce(plan, screen.as_ref());
    let folder = create_folder(args, plan).inspect_err(|failure| {
        show_failed(args, &check::error_document("", failure));
    })?;
    let options =
        run::Options { fail_fast: args.fail_fast, budget: BUDGET, memory_bytes: MEMORY_BYTES };
    let sink: Arc<dyn Sink> = Arc::clone(&screen) as Arc<dyn Sink>;
    let ended = run::execute(plan, &folder, &options, sink, signals);
    screen.finish();
    match ended {
        Ok(finished) => Ok((finished, folder)),
        Err(failure) => {
            let judged = check::stored(&folder).filter(|document| !document.provisional);
            let document =
                judged.unwrap_or_else(|| check::error_document(&folder.name(), &failure));
            show_failed(args, &document);
            Err(failure)
        }
    }
}

fn create_folder(args: &RunArgs, plan: &Plan) -> Result<RunFolder, Failure> {
    let stamp = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    RunFolder::create(&args.results, &stamp, &plan.workload, plan.seed).map_err(|e| {
        Failure::environment(e.to_string()).hint("`--results DIR` puts run folders elsewhere")
    })
}

/// The document of a run that failed, in the shape that its neighbours have. The failure itself is told elsewhere.
fn show_failed(args: &RunArgs, document: &VerdictDocument) {
    if args.json {
        let text =
            if is_series(args) { summary::json_line(document) } else { summary::json(document) };
        print(&text.unwrap_or_default(), Exit::Error);
    }
}

fn announce(plan: &Plan, screen: &dyn Sink) {
    let planned = Event::Planned {
        workload: plan.workload.clone(),
        system: plan.system_name(),
        nodes: plan.nodes,
        clients: plan.clients.total(),
        seed: plan.seed.to_string(),
    };
    screen.emit(Duration::ZERO, planned);
    if let Some(why) = &plan.shared_network {
        screen.emit(Duration::ZERO, Event::SharedNetwork(why.clone()));
    }
    if let Some(warning) = &plan.warning {
        screen.emit(Duration::ZERO, Event::Warning(warning.clone()));
    }
    for one in &plan.omitted {
        let omitted = Event::Omitted { fault: one.fault.clone(), reason: one.reason.clone() };
        screen.emit(Duration::ZERO, omitted);
    }
}

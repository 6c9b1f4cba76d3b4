//! The `harness` command: parses, dispatches, and turns the outcome into an exit code.

use harness::check::{self, Judged, Recorded, Search};
use harness::cli::{self, CheckArgs, Cli, ListArgs, Verb};
use harness::exit::{Exit, Failure};
use harness::list;
use harness::results::RunFolder;
use harness::series;
use harness::terminal::style::Style;
use harness::terminal::{self, listing, summary};
use harness::verdict::{Ruling, VerdictDocument};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    terminal::install_panic_hook();
    let outcome = std::panic::catch_unwind(|| match cli::parse(std::env::args_os())? {
        Ok(cli) => dispatch(cli),
        Err(text) => {
            terminal::to_stdout(&text)?;
            Ok(Exit::Valid)
        }
    });
    let exit = match outcome {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            terminal::failure(&failure);
            failure.exit
        }
        Err(_) => Exit::Error,
    };
    exit.into()
}

fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    match cli.verb {
        Verb::Run(args) => series::execute(&args),
        Verb::Check(args) => check_verb(&args),
        Verb::List(args) => list_verb(&args),
        Verb::Simulate(args) => harness::simulate::execute(&args),
        Verb::Node(args) => harness::node::enter(args),
        Verb::Maelstrom(args) => harness::system::maelstrom::bridge::enter(&args),
        Verb::Guardian(args) => harness::guardian::enter(args),
        Verb::Disk(args) => harness::disk::enter(args),
    }
}

fn list_verb(args: &ListArgs) -> Result<Exit, Failure> {
    let rows = list::rows(args.what, &args.results)?;
    terminal::to_stdout(&listing::render(&rows, &Style::stdout()))?;
    Ok(Exit::Valid)
}

/// `harness check`: judges again and prints. It writes only the verdict of a run that died or failed
/// before it had one.
fn check_verb(args: &CheckArgs) -> Result<Exit, Failure> {
    let search = Search {
        workload: args.workload.clone(),
        initial: args.initial.clone(),
        cas_fail_observes: args.cas_fail_observes,
        format: args.format.0,
        independent: args.independent,
        certify: args.certificate.is_some(),
        budget: args.budget,
        memory_bytes: args.memory,
        ..Search::default()
    };
    if let Some(path) = &args.certificate {
        check::certificate::may_be_written(path)?;
    }
    let path = find(&args.path);
    let (Judged { recorded, mut document, orders }, mut context) = if path.is_dir() {
        check_run(&steady(&path), &search)?
    } else {
        (check::file(&path, &search)?, summary::Context::default())
    };
    context.workload.clone_from(&recorded.history.header.workload);
    let mut exit = Exit::from(document.verdict);
    let certified =
        args.certificate.as_ref().map(|path| certify(path, &recorded, &orders, &mut document));
    let text = if args.json {
        summary::json(&document)?
    } else {
        summary::render(&document, &context, &Style::stdout())
    };
    // The verdict stands, and is told, also where something could not be written.
    let problems = [terminal::to_stdout(&text).err(), certified.and_then(Result::err)];
    for failure in problems.iter().flatten() {
        terminal::failure(failure);
        exit = exit.worse(failure.exit);
    }
    // The process ends here, and to take a million operations apart one by one takes longer than to drop the process.
    std::mem::forget(recorded);
    Ok(exit)
}

/// Writes the certificate of a history of which every key is valid; says so if there is none, and then an old one of
/// that name does not stay.
fn certify(
    path: &Path,
    recorded: &Recorded,
    orders: &[checker::Order],
    document: &mut VerdictDocument,
) -> Result<(), Failure> {
    let Some(check) = document.checks.first_mut() else { return Ok(()) };
    let why = match (check.verdict, check.name.as_str()) {
        (Ruling::Valid, "linearizable") => {
            return check::certificate::write(path, &recorded.history.header, orders);
        }
        (Ruling::Valid, _) => "what its workload promises is no order of operations",
        _ => "only a valid history has a certificate",
    };
    let name = path.display();
    check.warnings.push(format!("{name} was not written: {why}"));
    check::certificate::remove_old(path)
}

/// The path itself, or the run of that name among the results.
fn find(path: &Path) -> PathBuf {
    let among = Path::new("results").join(path);
    let is_file = path.exists() || path == Path::new(check::STDIN);
    if !is_file && among.is_dir() { among } else { path.to_owned() }
}

/// The run itself where the path is a link such as `latest`, which the next run moves on.
fn steady(path: &Path) -> PathBuf {
    // Without a slash at its end, by which it would be what the link leads to.
    let path: PathBuf = path.components().collect();
    match (path.read_link(), path.parent()) {
        (Ok(to), Some(parent)) => parent.join(to),
        _ => path,
    }
}

fn check_run(path: &Path, search: &Search) -> Result<(Judged, summary::Context), Failure> {
    let folder = RunFolder::open(path).map_err(|e| Failure::usage(e.to_string()))?;
    let mut judged = check::folder(&folder, search)?;
    let document = &mut judged.document;
    if !check::is_finished(&folder)
        && let Err(failure) = check::save(&folder, &judged.recorded, document)
    {
        // A proof is worth more than the file it could not be put into.
        match document.checks.iter_mut().find(|check| check.verdict == Ruling::Invalid) {
            Some(check) => check.warnings.push(failure.to_string()),
            None => return Err(failure),
        }
    }
    let inside = |file: PathBuf| {
        let name = file.file_name().filter(|_| file.is_file())?;
        Some(path.join(name).display().to_string())
    };
    let context = summary::Context {
        counterexample: inside(folder.counterexample()),
        report: inside(folder.report()),
        replay: Some(path.display().to_string()),
        seed: judged.recorded.plan.as_ref().map(|plan| plan.seed.to_string()),
        ..summary::Context::default()
    };
    Ok((judged, context))
}

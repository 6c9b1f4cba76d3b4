//! The words around the flags: examples first, exit codes and files in the long help.

use crate::exit::Exit;

/// Examples before everything else.
pub(super) const TEMPLATE: &str = "\
{about}

{before-help}{usage-heading} {usage}

{all-args}{after-help}
";

/// For `harness --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  harness run --workload kv --faults partition          a first verdict within a minute
  harness run --bug local-read --faults partition       the same with a bug, to see it caught
  harness check results/latest                          judge what was recorded again
  harness check history.edn                             judge a history from elsewhere";

/// For `harness run --help`.
pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  harness run                                           five nodes, thirty seconds of partitions
  harness run --faults partition,kill,pause --time 2m   longer and harder
  harness run --faults none --nodes 3                   nothing goes wrong
  harness run --bug local-read --until-failure          how long until it is caught?
  harness run --replay results/latest                   the same plan once more";

/// For `harness check --help`.
pub(super) const CHECK_EXAMPLES: &str = "\
Examples:
  harness check results/latest                          a run, by all its checks
  harness check results/latest/counterexample.jsonl     only the proof
  harness check history.edn                             a history of Jepsen, also as .gz
  zcat log.gz | harness check - --initial 0             from standard input";

/// For `harness simulate --help`.
pub(super) const SIMULATE_EXAMPLES: &str = "\
Examples:
  harness simulate --seed 1                             ten minutes of five nodes, in seconds
  harness simulate --seed 1 --nodes 3 --seconds 3600    an hour of three
  harness simulate --seed 1 --bug double-vote           with a bug, to see it caught";

/// Under a short help.
pub(super) const SEE_HELP: &str = "`--help` says more: exit codes and files.";

/// Under a long help.
pub(super) fn exit_codes_and_files() -> String {
    let mut text = "Exit codes (of several runs, the worst):\n".to_owned();
    for exit in Exit::ALL {
        text.push_str(&format!("  {:>3}  {}\n", exit.code(), exit.sentence()));
    }
    text.push_str(
        "\nFiles, in results/<start>-<workload>-<seed>/ (results/README.md says more):
  plan.json              what was to be done; the same for the same seed
  deployment.json        ports, process ids, versions, the time of the start
  history.jsonl          what every client saw
  faults.jsonl           a receipt of every fault
  cluster.jsonl          roles, terms, exits, and how the harness itself fared
  verdict.json           the verdict document, as `--json` prints it
  counterexample.jsonl   the smallest proof, if the verdict is invalid
  report.html            all of it on one page
  nodes/n1/log           what node n1 said

NO_COLOR turns colours off; RUST_BACKTRACE=1 shows where an internal error arose.",
    );
    text
}

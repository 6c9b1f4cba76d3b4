//! Ten thousand connections that end by reset leave nothing behind.

use crate::lab::{Lab, Pair, crosses, link, reset};
use faults::{Accept, Heal, Plan, Rule};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Alone in a process, because descriptors are counted: other tests open and close their own.
#[test]
fn ten_thousand_connections_leave_nothing() {
    const NAME: &str = "leak::ten_thousand_connections_leave_nothing";
    if std::env::var_os("ALONE").is_none() {
        let this = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new(this);
        let alone = command.args(["--exact", NAME, "--nocapture"]).env("ALONE", "1");
        let output = alone.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}{errors}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ten_thousand());
}

async fn ten_thousand() {
    let lab = Lab::new(2).await;
    // What a first round opens for good: both directions, and a port that was closed and opened again.
    round(&lab, 0).await;
    lab.emptied().await;
    let before = descriptors();
    for number in 0..200 {
        round(&lab, number).await;
    }
    lab.emptied().await;
    let after = descriptors();
    assert!(after <= before, "{before} descriptors before, {after} after");
    assert!(lab.counters(1, 2).dialled + lab.counters(2, 1).dialled >= 10_000);
}

/// Fifty connections that end in different ways.
async fn round(lab: &Lab, number: usize) {
    let mut pairs: Vec<Pair> = Vec::new();
    for place in 0..50 {
        pairs.push(if place & 1 == 0 { lab.pair(1, 2).await } else { lab.pair(2, 1).await });
    }
    let Pair { dialler, target } = &mut pairs[number % 50];
    crosses(dialler, target, b"alive").await;
    let heal = if number.is_multiple_of(2) { Heal::Cut } else { Heal::Deliver };
    let hang = Rule { accept: Accept::Hang, ..Rule::hold(heal) };
    let rules = [(link(1, 2), hang), (link(2, 1), Rule::accepting(Accept::Refuse))];
    lab.hub.apply(Plan { rules: rules.into(), ..Plan::default() }).await.unwrap();
    for (place, Pair { dialler, target }) in pairs.into_iter().enumerate() {
        match (place + number) % 3 {
            0 => reset(dialler),
            1 => reset(target),
            _ => drop((dialler, target)),
        }
    }
    lab.hub.apply(Plan::default()).await.unwrap();
}

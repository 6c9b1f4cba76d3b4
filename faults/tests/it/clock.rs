//! The clock shim in a real process: what the page says is what the process is told, and time never goes back.
//!
//! The process is this test program again, which then does nothing but look at its clocks and wait.

use faults::clock::{ClockPage, ClockReading, PAGE_VARIABLE, SHIM, Skew};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Set for the copy of this program that is the process.
const ROLE: &str = "CLOCK_TEST_PROCESS";

/// A process with clocks of its own, which answers each line that it is sent.
struct Watched {
    process: Child,
    answers: Lines<BufReader<ChildStdout>>,
    page: ClockPage,
    folder: TempDir,
}

impl Watched {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (shim, place) = (folder.path().join("clock.so"), folder.path().join("page"));
        std::fs::write(&shim, SHIM).unwrap();
        let page = ClockPage::create(&place).unwrap();
        let (process, answers) = spawn(&shim, &place);
        Self { process, answers, page, folder }
    }

    /// Has the process do one thing and returns the number that it answers.
    fn ask(&mut self, what: &str) -> i64 {
        writeln!(self.process.stdin.as_mut().unwrap(), "{what}").unwrap();
        loop {
            // The test runner that the process is speaks too.
            let line = self.answers.next().unwrap().unwrap();
            if let Some(answer) = line.strip_prefix("answer ") {
                return answer.parse().unwrap();
            }
        }
    }

    fn reading(&self) -> ClockReading {
        self.page.reading().unwrap()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(shim: &Path, page: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "clock::the_process", "--ignored", "--nocapture"])
        .env(ROLE, "1")
        .env("LD_PRELOAD", shim)
        .env(PAGE_VARIABLE, page)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let answers = BufReader::new(process.stdout.take().unwrap()).lines();
    (process, answers)
}

/// Milliseconds by the wall clock of whoever asks.
fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

#[test]
#[ignore = "it is the process that the other tests start"]
fn the_process() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let start = Instant::now();
    for line in std::io::stdin().lines() {
        let answer = match line.unwrap().as_str() {
            "wall" => wall_ms(),
            "steady" => i64::try_from(start.elapsed().as_micros()).unwrap(),
            "condvar" => {
                let (lock, signal) = (Mutex::new(()), Condvar::new());
                let before = Instant::now();
                let guard = lock.lock().unwrap();
                let (_guard, late) = signal
                    .wait_timeout_while(guard, Duration::from_millis(200), |()| true)
                    .unwrap();
                assert!(late.timed_out());
                ms(before.elapsed())
            }
            "tokio" => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let before = Instant::now();
                runtime.unwrap().block_on(async {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                });
                ms(before.elapsed())
            }
            "race" => steps_back_of_four_threads(),
            other => panic!("{other}"),
        };
        println!("answer {answer}");
    }
}

/// Four threads look at one clock for a while; how often one was told an earlier time than was handed out before.
fn steps_back_of_four_threads() -> i64 {
    let latest = Mutex::new(Instant::now());
    let look = || {
        let end = Instant::now() + Duration::from_millis(400);
        let mut back = 0;
        loop {
            let mut latest = latest.lock().unwrap();
            let now = Instant::now();
            back += i64::from(now < *latest);
            *latest = now;
            if now > end {
                return back;
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(look)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn the_wall_clock_is_set_and_set_right_again() {
    let mut watched = Watched::start();
    let right = |watched: &mut Watched| {
        let before = wall_ms();
        let told = watched.ask("wall");
        (before..=wall_ms()).contains(&told)
    };
    assert!(right(&mut watched), "nothing was done yet");
    assert_eq!(watched.reading().pid, u64::from(watched.process.id()));
    for step_ms in [-5_000, 60_000, 7] {
        watched.page.set(Skew { step_ms, rate_ppm: 0 }).unwrap();
        let before = (watched.reading(), wall_ms());
        let told = watched.ask("wall") - step_ms;
        assert!((before.1..=wall_ms()).contains(&told), "{told} {step_ms}");
        let after = watched.reading();
        assert_eq!(after.wall_off, before.0.wall_off + 1, "and that is counted");
        assert_eq!(after.wall_ahead_ns, step_ms * 1_000_000);
    }
    watched.page.set(Skew::default()).unwrap();
    let counted = watched.reading().wall_off;
    assert!(right(&mut watched), "healed");
    assert_eq!(watched.reading().wall_off, counted);
}

/// By the clock of a process whose clock runs a fifth too fast or too slow, what waits 200 ms has waited 200 ms or
/// longer, and it knows how much longer the machine took. Before that its clock gained and lost a lot.
#[test]
fn the_steady_clock_keeps_its_rate_and_every_wait_ends() {
    let mut watched = Watched::start();
    watched.page.set(Skew { step_ms: 0, rate_ppm: 50_000_000 }).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    for rate_ppm in [200_000, -200_000, 0] {
        watched.page.set(Skew { step_ms: 3_600_000, rate_ppm }).unwrap();
        let (began, first) = (Instant::now(), watched.ask("steady"));
        for wait in ["condvar", "tokio"] {
            let waited = watched.ask(wait);
            assert!(waited >= 200, "{wait} at {rate_ppm}: {waited}");
        }
        let told = watched.ask("steady") - first;
        let took = i64::try_from(began.elapsed().as_micros()).unwrap();
        // Its clock was read between the two readings of ours, so it saw no more than we did.
        assert!(told <= took * (1_000_000 + i64::from(rate_ppm)) / 1_000_000, "{told} {took}");
        assert!(told >= 400_000, "both waits are in it: {told}");
        assert!(took < 5_000_000, "a wait was for a moment of another clock: {took}");
    }
    assert!(watched.reading().steady_ahead_ns > 4_000_000_000, "what was gained is kept");
    assert!(watched.reading().steady_off > 0);
}

#[test]
fn no_thread_sees_time_go_back_while_the_rate_changes() {
    let mut watched = Watched::start();
    writeln!(watched.process.stdin.as_mut().unwrap(), "race").unwrap();
    for turn in 0..300 {
        let rate_ppm = if turn % 2 == 0 { 900_000 } else { -900_000 };
        watched.page.set(Skew { step_ms: 0, rate_ppm }).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    watched.page.set(Skew::default()).unwrap();
    let back = loop {
        let line = watched.answers.next().unwrap().unwrap();
        if let Some(answer) = line.strip_prefix("answer ") {
            break answer.to_owned();
        }
    };
    assert_eq!(back, "0");
    assert!(watched.reading().steady_off > 0, "it did look while the rate was off");
}

/// A restart takes the same page: its clocks go on as they were.
#[test]
fn a_page_outlives_its_process() {
    let mut watched = Watched::start();
    watched.page.set(Skew { step_ms: -60_000, rate_ppm: 0 }).unwrap();
    watched.ask("wall");
    let counted = watched.reading();
    watched.process.kill().unwrap();
    watched.process.wait().unwrap();
    let folder = watched.folder.path();
    (watched.process, watched.answers) = spawn(&folder.join("clock.so"), &folder.join("page"));
    let told = watched.ask("wall");
    assert!(told < wall_ms() - 50_000);
    let after = watched.reading();
    assert_eq!(after.pid, u64::from(watched.process.id()));
    assert_eq!(after.wall_off, counted.wall_off + 1);
}

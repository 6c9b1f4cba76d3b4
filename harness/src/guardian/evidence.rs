//! What the operating system itself says about a process: the evidence behind a receipt.
//!
//! A signal that was sent proves nothing. That a node is stopped is read from `/proc`, thread by
//! thread, within a limit.

use std::time::{Duration, Instant};

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// The state letter of every thread of a process (`R`, `S`, `D`, `T` …), none if it is gone.
#[must_use]
pub fn thread_states(pid: i32) -> Vec<char> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .filter_map(Result::ok)
        .filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok())
        .filter_map(|stat| state_of(&stat))
        .collect()
}

/// The third field of a `stat` line. The second, the name, is in parentheses and may hold anything.
fn state_of(stat: &str) -> Option<char> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.trim_start().chars().next()
}

/// Whether the process is stopped (its first thread is), and the processor time of all its threads so far; none
/// if it is gone.
#[must_use]
pub fn stopped_and_cpu(pid: i32) -> Option<(bool, Duration)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some((state_of(&stat)? == 'T', cpu_of(&stat)?))
}

/// Fields 14 and 15 of a `stat` line: user and system time, in hundredths of a second on every machine that
/// Linux runs on today.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_millis(10 * (user + system)))
}

/// Waits until every thread is stopped. Returns how long that took, or the states last seen.
///
/// # Errors
/// The states seen last, empty if the process is gone, when `limit` passed first.
pub fn await_stopped(pid: i32, limit: Duration) -> Result<Duration, Vec<char>> {
    watch(pid, limit, |states| states.iter().all(|state| *state == 'T'))
}

/// Waits until no thread is stopped. Returns how long that took.
///
/// # Errors
/// The states seen last, empty if the process is gone, when `limit` passed first.
pub fn await_running(pid: i32, limit: Duration) -> Result<Duration, Vec<char>> {
    watch(pid, limit, |states| states.iter().all(|state| *state != 'T'))
}

fn watch(
    pid: i32,
    limit: Duration,
    wanted: impl Fn(&[char]) -> bool,
) -> Result<Duration, Vec<char>> {
    let begin = Instant::now();
    loop {
        let states = thread_states(pid);
        if !states.is_empty() && wanted(&states) {
            return Ok(begin.elapsed());
        }
        if states.is_empty() || begin.elapsed() >= limit {
            return Err(states);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_found_behind_a_name_with_parentheses() {
        assert_eq!(state_of("12 (a ) b) T 1 12 12"), Some('T'));
        assert_eq!(state_of("no parenthesis"), None);
    }

    #[test]
    fn processor_time_is_told_in_hundredths() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(420)));
        assert_eq!(cpu_of("7 (a) S 1"), None);
        assert_eq!(stopped_and_cpu(i32::MAX), None);
    }

    #[test]
    fn a_process_that_is_gone_has_no_states() {
        assert!(thread_states(i32::MAX).is_empty());
        assert!(await_stopped(i32::MAX, Duration::from_secs(1)).is_err());
    }

    #[test]
    fn this_process_is_running() {
        let own = i32::try_from(std::process::id()).expect("small");
        assert!(await_running(own, Duration::from_secs(1)).is_ok());
        assert!(await_stopped(own, Duration::from_millis(5)).is_err());
    }
}

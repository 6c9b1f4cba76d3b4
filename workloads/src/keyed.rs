//! The generator of keyed workloads: a mix of functions over rotating keys.
//!
//! Each worker draws from a stream of its own. A compare-and-set compares against the value that this worker saw last
//! (read, wrote or swapped in), on the key it saw it on, and only while nothing it did since says that the value is
//! gone; so a good share of them succeed. A worker that has seen nothing reads instead.

use crate::draw::Draw;
use crate::keys::Keys;
use crate::{Caller, Completion, Generator, Invocation, MISMATCH, Settings};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How often each function is drawn, in parts of their sum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) read: u64,
    pub(crate) write: u64,
    pub(crate) cas: u64,
    pub(crate) delete: u64,
}

/// Where written values come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    /// 1, 2, 3, …: no value is written twice in a run, so a read tells which write it saw.
    Unique,
    /// Drawn from `0..bound`: the same value comes again, so an operation applied twice can do harm unseen by a
    /// comparison.
    Small(u64),
}

/// What one worker carries from operation to operation.
struct Worker {
    draw: Draw,
    /// The freshest value it knows and the key that held it.
    seen: Option<(String, i64)>,
}

/// See the module.
pub(crate) struct Keyed {
    seed: u64,
    workers: BTreeMap<usize, Worker>,
    source: Source,
}

/// What the workers share.
struct Source {
    mix: Mix,
    values: Values,
    keys: Keys,
    written: i64,
}

impl Keyed {
    pub(crate) fn new(settings: &Settings, mix: Mix, values: Values) -> Self {
        let source = Source { mix, values, keys: Keys::new(settings), written: 0 };
        Self { seed: settings.seed, workers: BTreeMap::new(), source }
    }
}

impl Worker {
    /// The stream of a worker's draws is numbered by the worker.
    fn new(seed: u64, caller: &Caller) -> Self {
        Self { draw: Draw::new(seed, caller.worker as u64), seen: None }
    }
}

impl Source {
    /// A value to write.
    fn value(&mut self, draw: &mut Draw) -> i64 {
        match self.values {
            Values::Unique => {
                self.written += 1;
                self.written
            }
            Values::Small(bound) => i64::try_from(draw.below(bound)).unwrap_or(i64::MAX),
        }
    }

    fn invocation(&mut self, reads_only: bool, worker: &mut Worker) -> Invocation {
        let Mix { read, write, cas, delete } = self.mix;
        let drawn = worker.draw.weighted([read, write, cas, delete].into_iter());
        let key = self.keys.draw(&mut worker.draw);
        let seen = worker.seen.clone().filter(|(key, _)| self.keys.is_active(key));
        match (drawn, seen) {
            _ if reads_only => read_of(key),
            (1, _) => {
                let value = self.value(&mut worker.draw);
                Invocation { f: "write", key: Some(key), value: json!(value) }
            }
            (2, Some((key, from))) => {
                let to = self.value(&mut worker.draw);
                Invocation { f: "cas", key: Some(key), value: json!([from, to]) }
            }
            (3, _) => Invocation { f: "delete", key: Some(key), value: Value::Null },
            _ => read_of(key),
        }
    }
}

fn read_of(key: String) -> Invocation {
    Invocation { f: "read", key: Some(key), value: Value::Null }
}

/// The value that the key holds right after an ok `f`, none if it holds nothing.
fn value_after(f: &str, answer: &Value) -> Option<i64> {
    match f {
        "cas" => answer.get(1)?.as_i64(),
        "delete" => None,
        _ => answer.as_i64(),
    }
}

impl Generator for Keyed {
    fn next(&mut self, caller: &Caller) -> Invocation {
        let worker =
            self.workers.entry(caller.worker).or_insert_with(|| Worker::new(self.seed, caller));
        let invocation = self.source.invocation(caller.reads_only, worker);
        if let Some(key) = &invocation.key {
            self.source.keys.count_operation(key);
        }
        invocation
    }

    fn complete(&mut self, caller: &Caller, invocation: &Invocation, completion: &Completion) {
        let Some(key) = invocation.key.clone() else { return };
        if matches!(completion, Completion::Info { .. }) {
            self.source.keys.count_unknown(&key);
        }
        let Some(Worker { seen, .. }) = self.workers.get_mut(&caller.worker) else { return };
        match completion {
            Completion::Ok(answer) => match value_after(invocation.f, answer) {
                Some(value) => *seen = Some((key, value)),
                None => forget(seen, &key),
            },
            Completion::Fail { error } if error == MISMATCH => forget(seen, &key),
            Completion::Fail { .. } | Completion::Info { .. } => {}
        }
    }

    fn final_reads(&self) -> Vec<Invocation> {
        self.source.keys.used().iter().map(|key| read_of(key.clone())).collect()
    }
}

/// Drops what was known of `key`.
fn forget(seen: &mut Option<(String, i64)>, key: &str) {
    if seen.as_ref().is_some_and(|(of, _)| of == key) {
        *seen = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const MIX: Mix = Mix { read: 40, write: 30, cas: 22, delete: 8 };

    fn generator(seed: u64, values: Values) -> Keyed {
        let settings = Settings { seed, keys: 3, retire_operations: 50, retire_unknown: 4 };
        Keyed::new(&settings, MIX, values)
    }

    fn caller(worker: usize) -> Caller {
        Caller { worker, reads_only: worker == 0 }
    }

    /// Answers everything as a sequential store of no particular honesty would, from its own draws.
    fn play(generator: &mut dyn Generator, seed: u64, count: usize) -> Vec<Invocation> {
        let mut draw = Draw::new(seed, 1 << 40);
        let mut made = Vec::new();
        for _ in 0..count {
            let caller = caller(usize::try_from(draw.below(4)).expect("small"));
            let invocation = generator.next(&caller);
            let completion = match (draw.below(10), invocation.f) {
                (0, _) => Completion::Info { error: "timeout".to_owned() },
                (1, "cas") => Completion::Fail { error: MISMATCH.to_owned() },
                (1, _) => Completion::Fail { error: "overloaded".to_owned() },
                (_, "read") => Completion::Ok(json!(draw.below(9))),
                (_, _) => Completion::Ok(invocation.value.clone()),
            };
            generator.complete(&caller, &invocation, &completion);
            made.push(invocation);
        }
        made
    }

    #[test]
    fn a_seed_and_the_same_completions_give_the_same_operations() {
        let one = play(&mut generator(5, Values::Unique), 9, 500);
        let two = play(&mut generator(5, Values::Unique), 9, 500);
        let other = play(&mut generator(6, Values::Unique), 9, 500);
        assert_eq!(one, two);
        assert_ne!(one, other);
    }

    /// The draws of a worker do not move when others draw more or less between them.
    #[test]
    fn a_worker_draws_the_same_whatever_the_others_do() {
        let mut alone = generator(5, Values::Small(5));
        let mut among = generator(5, Values::Small(5));
        for step in 0..40 {
            for _ in 0..step % 3 {
                let _ = among.next(&caller(2));
            }
            let (a, b) = (alone.next(&caller(1)), among.next(&caller(1)));
            assert_eq!(a.f, b.f);
            assert_eq!(a.value, b.value);
        }
    }

    #[test]
    fn written_values_are_unique_in_the_run() {
        let mut written = BTreeSet::new();
        for invocation in play(&mut generator(3, Values::Unique), 3, 2_000) {
            let value = match invocation.f {
                "write" => invocation.value.clone(),
                "cas" => invocation.value[1].clone(),
                _ => continue,
            };
            assert!(written.insert(value.as_i64()), "{value} was written twice");
        }
        assert!(written.len() > 500);
    }

    #[test]
    fn a_cas_compares_with_what_its_worker_saw_last() {
        let mut generator = generator(1, Values::Unique);
        generator.source.mix = Mix { read: 0, write: 0, cas: 1, delete: 0 };
        let worker = caller(1);
        let first = generator.next(&worker);
        assert_eq!(first.f, "read", "nothing was seen yet");
        generator.complete(&worker, &first, &Completion::Ok(json!(77)));
        let second = generator.next(&worker);
        assert_eq!((second.f, &second.key), ("cas", &first.key));
        assert_eq!(second.value, json!([77, 1]));
        generator.complete(&worker, &second, &Completion::Ok(second.value.clone()));
        assert_eq!(generator.next(&worker).value, json!([1, 2]));
        generator.complete(&worker, &second, &Completion::Fail { error: MISMATCH.to_owned() });
        assert_eq!(generator.next(&worker).f, "read", "a mismatch says that the value is gone");
    }

    #[test]
    fn a_caller_that_reads_only_reads() {
        let mut generator = generator(1, Values::Unique);
        assert!((0..200).all(|_| generator.next(&caller(0)).f == "read"));
    }

    #[test]
    fn every_key_used_is_read_at_the_end() {
        let mut generator = generator(2, Values::Unique);
        let used: BTreeSet<String> =
            play(&mut generator, 2, 1_000).into_iter().filter_map(|made| made.key).collect();
        let reads = generator.final_reads();
        assert!(reads.len() > 15, "keys retire: {}", reads.len());
        assert!(used.into_iter().all(|key| reads.contains(&read_of(key))));
    }

    #[test]
    fn a_retired_key_is_not_used_again() {
        let mut generator = generator(2, Values::Unique);
        let made = play(&mut generator, 2, 2_000);
        let mut uses = BTreeMap::new();
        for invocation in made {
            *uses.entry(invocation.key).or_insert(0_u64) += 1;
        }
        assert!(uses.values().all(|&count| count <= 50), "{uses:?}");
    }

    #[test]
    fn the_mix_is_kept() {
        let made = play(&mut generator(4, Values::Unique), 4, 8_000);
        let count = |f| made.iter().filter(|made| made.f == f).count();
        // A quarter of the calls are of the caller that only reads; some cas find nothing seen.
        assert!((1_600..2_000).contains(&count("write")), "{}", count("write"));
        assert!((380..600).contains(&count("delete")), "{}", count("delete"));
        assert!(count("cas") > 600, "{}", count("cas"));
    }
}

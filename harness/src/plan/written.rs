//! Schedules that people write: TOML, one table an entry, times as they are typed.
//!
//! ```toml
//! [[entry]]
//! at = "5s"             # or: on = "leader-change", and if need be from = "2s", after = "20ms", until = "9s"
//! fault = "partition"
//! target = "leader"     # `one` if it is not said
//! shape = "isolate"     # for a partition; heal = "deliver", "mixed" or "cut"
//! for = "3s"
//! ```
//!
//! A file without an entry is a schedule too: nothing goes wrong. `how.NAME = …` is for the classes that define such
//! words; `id` and `seed` follow from the place in the file if they are not given, so one file is one schedule.
//!
//! Everything that can be wrong is told with its line and what to do. Whether the schedule fits the system, its
//! budget and the length of the run is decided elsewhere, as for any other.

use crate::duration;
use faults::{Entry, Heal, Schedule, Shape, Target, Trigger, registry};
use serde::Deserialize;
use std::time::Duration;
use toml::Spanned;

/// How long an entry waits for its event if nothing is said.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    entry: Vec<Spanned<toml::Table>>,
}

/// An entry as it is typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Option<u64>,
    at: Option<String>,
    on: Option<String>,
    from: Option<String>,
    after: Option<String>,
    until: Option<String>,
    fault: String,
    target: Option<Target>,
    shape: Option<Shape>,
    heal: Option<Heal>,
    #[serde(rename = "for")]
    lasts: String,
    how: Option<toml::Value>,
    seed: Option<u64>,
}

/// Reads a schedule.
///
/// # Errors
/// What is wrong, with the line, and the number of the entry where there is one.
pub(super) fn parse(text: &str) -> Result<Schedule, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        format!("line {line}: {}", error.message())
    })?;
    let mut entries = Vec::new();
    for (table, number) in file.entry.into_iter().zip(1..) {
        let line = line_of(text, table.span().start);
        let entry = Written::deserialize(table.into_inner())
            .map_err(|error| error.message().to_owned())
            .and_then(|written| entry(written, number));
        entries.push(entry.map_err(|why| format!("line {line}, entry {number}: {why}"))?);
    }
    entries.sort_by_key(|entry| entry.trigger.earliest());
    Ok(Schedule { entries })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn entry(written: Written, number: u64) -> Result<Entry, String> {
    let trigger = trigger(&written)?;
    let fault = registry::by_name(&written.fault).ok_or_else(|| {
        let known: Vec<&str> = registry::all().iter().map(|fault| fault.name()).collect();
        format!("unknown fault `{}`; write one of {}", written.fault, known.join(", "))
    })?;
    if written.shape.is_some() && !fault.has_shapes() {
        return Err(format!("a {} has no `shape`; leave it out", fault.name()));
    }
    if written.heal.is_some() && !fault.has_heals() {
        return Err(format!("a {} has no `heal`; leave it out", fault.name()));
    }
    let duration = time("for", &written.lasts)?;
    if duration.is_zero() {
        return Err("`for` is zero; give it at least \"1ms\"".to_owned());
    }
    let how = written.how.map(serde_json::to_value).transpose();
    Ok(Entry {
        id: written.id.unwrap_or(number),
        fault: written.fault,
        trigger,
        duration,
        target: written.target.unwrap_or(Target::One),
        shape: written.shape.or_else(|| fault.has_shapes().then_some(Shape::Isolate)),
        heal: written.heal.or_else(|| fault.has_heals().then(Default::default)),
        how: how.map_err(|error| format!("`how`: {error}"))?.unwrap_or_default(),
        seed: written.seed.unwrap_or(number),
    })
}

fn trigger(written: &Written) -> Result<Trigger, String> {
    let given = |name: &str, text: &Option<String>, otherwise: Duration| {
        text.as_ref().map_or(Ok(otherwise), |text| time(name, text))
    };
    let Written { at, on, from, after, until, .. } = written;
    match (at, on.as_deref()) {
        (Some(at), None) if from.is_none() && after.is_none() && until.is_none() => {
            Ok(Trigger::At { time: time("at", at)? })
        }
        (Some(_), None) => {
            Err("`from`, `after` and `until` belong to `on`; leave them out beside `at`".to_owned())
        }
        (None, Some("leader-change")) => {
            let armed = given("from", from, Duration::ZERO)?;
            let after = given("after", after, Duration::ZERO)?;
            let latest = given("until", until, armed + PATIENCE)?;
            if latest <= armed + after {
                return Err("`until` is not later than `from` and `after` together".to_owned());
            }
            Ok(Trigger::OnLeaderChange { armed, after, latest })
        }
        (None, Some(other)) => {
            Err(format!("unknown event `{other}` in `on`; the one event is \"leader-change\""))
        }
        (Some(_), Some(_)) => Err("it has both `at` and `on`; take one away".to_owned()),
        (None, None) => {
            Err("it does not say when; add at = \"5s\" or on = \"leader-change\"".to_owned())
        }
    }
}

/// A plan counts in whole milliseconds.
fn time(name: &str, text: &str) -> Result<Duration, String> {
    let time = duration::parse(text).map_err(|error| format!("`{name}`: {error}"))?;
    if time.subsec_nanos() % 1_000_000 != 0 {
        return Err(format!("`{name}`: `{text}` is finer than a millisecond"));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use faults::{Heal, Shape, Target, Trigger};
    use std::time::Duration;

    #[test]
    fn a_file_of_few_words_is_a_schedule() {
        let text = r#"
            # The leader goes, and whoever comes next is cut off at once.
            [[entry]]
            on = "leader-change"
            from = "2s"
            after = "20ms"
            fault = "partition"
            target = "leader"
            heal = "cut"
            for = "1.5s"

            [[entry]]
            at = "2s"
            fault = "kill"
            target = "leader"
            for = "700ms"
            how.some = ["word", 1]
        "#;
        let schedule = parse(text).unwrap();
        assert_eq!(schedule, parse(text).unwrap(), "one file is one schedule");
        let [cut, kill] = &schedule.entries[..] else { panic!("{schedule:?}") };
        let ms = Duration::from_millis;
        let armed = Trigger::OnLeaderChange { armed: ms(2000), after: ms(20), latest: ms(7000) };
        assert_eq!((cut.id, cut.trigger, cut.duration), (1, armed, ms(1500)));
        assert_eq!((cut.shape, cut.heal), (Some(Shape::Isolate), Some(Heal::Cut)));
        assert_eq!((kill.id, kill.trigger), (2, Trigger::At { time: ms(2000) }));
        assert_eq!((kill.target, kill.shape, kill.heal), (Target::Leader, None, None));
        assert_eq!(kill.how, serde_json::json!({"some": ["word", 1]}));
        assert_eq!(parse("# nothing\n").unwrap().entries, []);
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_what_to_do() {
        let entry = |words: &str| parse(&format!("\n[[entry]]\n{words}\n")).unwrap_err();
        let kill = "fault = \"kill\"\nfor = \"1s\"";
        let cases = [
            (entry(kill), "line 2, entry 1: it does not say when; add at = \"5s\""),
            (
                entry(&format!("at = \"soon\"\n{kill}")),
                "line 2, entry 1: `at`: `soon` is not a dur",
            ),
            (entry(&format!("at = \"1us\"\n{kill}")), "line 2, entry 1: `at`: `1us` is finer"),
            (entry(&format!("at = \"1s\"\non = \"x\"\n{kill}")), "line 2, entry 1: it has both"),
            (entry(&format!("on = \"x\"\n{kill}")), "line 2, entry 1: unknown event `x` in `on`"),
            (
                entry(&format!("at = \"1s\"\nafter = \"1s\"\n{kill}")),
                "line 2, entry 1: `from`, `af",
            ),
            (
                entry(&format!("on = \"leader-change\"\nuntil = \"0s\"\n{kill}")),
                "line 2, entry 1: `until` is not later",
            ),
            (
                entry("at = \"1s\"\nfault = \"kil\"\nfor = \"1s\""),
                "line 2, entry 1: unknown fault `kil`",
            ),
            (
                entry("at = \"1s\"\nfault = \"kill\"\nfor = \"0s\""),
                "line 2, entry 1: `for` is zero",
            ),
            (
                entry(&format!("at = \"1s\"\nshape = \"bridge\"\n{kill}")),
                "line 2, entry 1: a kill has no `shape`",
            ),
            (
                entry(&format!("at = \"1s\"\nwho = 1\n{kill}")),
                "line 2, entry 1: unknown field `who`",
            ),
            (entry("at = "), "line 3: "),
            (parse("[[entries]]\n").unwrap_err(), "line 1: unknown field `entries`"),
        ];
        for (error, start) in cases {
            assert!(error.starts_with(start), "{error}");
        }
    }
}

//! The class `message`: draws rules for the relays, and proves from what they counted that these bit.

use super::Messages;
use super::rule::{MessageCounts, MessageRule};
use crate::claims::{Budget, Load, Power};
use crate::environment::{BoxFuture, EnvironmentError};
use crate::fault::{Context, Draft, Fault, Proof};
use crate::link::Link;
use crate::random::Random;
use crate::schedule::Entry;
use crate::target::Target;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The class `message`.
#[derive(Clone, Copy, Debug)]
pub struct Message;

impl Fault for Message {
    fn name(&self) -> &'static str {
        "message"
    }

    fn about(&self) -> &'static str {
        "loses, doubles, delays past each other and repeats single gRPC messages and calls between nodes; \
         it knows nothing of what is in them, clients' calls are touched where one node hands them on to another, so a system needs sessions or the like to survive it"
    }

    fn power(&self) -> Power {
        Power::Message
    }

    fn cannot_bite(&self, nodes: usize) -> Option<String> {
        (nodes < 2).then(|| "a cluster of one node sends no messages".to_owned())
    }

    fn left_out_of_all(&self) -> Option<&'static str> {
        Some(
            "it does what TCP never does: only a protocol that expects it of its messages can be blamed",
        )
    }

    fn draw(&self, random: &mut Random, _nodes: usize, _budget: &Budget) -> Draft {
        let target = random.weighted(&[(80, Target::All), (20, Target::Leader)]);
        let duration = random.between(Duration::from_secs(3), Duration::from_secs(8));
        Draft {
            target: target.unwrap_or(Target::All),
            shape: None,
            heal: None,
            duration,
            load: Load::Nodes(0),
            how: json!(draw_rule(random)),
        }
    }

    /// It takes nobody away: most messages arrive, and Raft's own are sent until they do.
    fn load(&self, _entry: &Entry, _nodes: usize, _budget: &Budget) -> Load {
        Load::Nodes(0)
    }

    fn check(&self, entry: &Entry, _nodes: usize, _budget: &Budget) -> Result<(), String> {
        rule(entry)?.check()
    }

    fn heal_time(&self) -> Duration {
        Duration::from_millis(50)
    }

    fn takes_down(&self) -> bool {
        false
    }

    fn inject<'a>(
        &'a self,
        context: &'a Context<'a>,
    ) -> BoxFuture<'a, Result<Value, EnvironmentError>> {
        Box::pin(async move {
            let rule = rule(context.entry).map_err(EnvironmentError)?;
            let links = links(&context.environment.nodes(), context.nodes);
            messages(context)?.begin(context.entry.id, links, rule, context.entry.seed);
            Ok(Value::Null)
        })
    }

    fn heal<'a>(
        &'a self,
        context: &'a Context<'a>,
        _seen: &'a Value,
    ) -> BoxFuture<'a, Result<Proof, EnvironmentError>> {
        Box::pin(async move { Ok(prove(&messages(context)?.end(context.entry.id))) })
    }
}

/// Often late past each other, which finds most; seldom so late that nobody can lead.
fn draw_rule(random: &mut Random) -> MessageRule {
    let latest = random.weighted(&[(20, 0), (30, 40), (30, 100), (20, 200)]).unwrap_or(100);
    let mut some = |often: u64, percents: [u32; 3]| {
        let happens = random.chance(often);
        let choices = percents.map(|percent| (1, percent));
        let percent = random.weighted(&choices).filter(|_| happens).unwrap_or(0);
        f64::from(percent) / 100.0
    };
    let drop_request = some(60, [1, 5, 15]);
    let drop_reply = some(40, [5, 10, 20]);
    let duplicate = some(80, [5, 20, 50]);
    let replay = random.chance(60) || (latest == 0 && duplicate == 0.0);
    MessageRule { drop_request, drop_reply, duplicate, delay_ms: [0, latest], replay }
}

fn rule(entry: &Entry) -> Result<MessageRule, String> {
    MessageRule::deserialize(&entry.how).map_err(|error| format!("its `how` is wrong: {error}"))
}

fn messages<'a>(context: &Context<'a>) -> Result<&'a dyn Messages, EnvironmentError> {
    let none = || EnvironmentError("the nodes' calls do not go through relays here".to_owned());
    context.environment.messages().ok_or_else(none)
}

/// The links that the chosen nodes send or receive on.
fn links(nodes: &[history::NodeId], chosen: &[history::NodeId]) -> BTreeSet<Link> {
    let pairs = nodes.iter().flat_map(|&from| nodes.iter().map(move |&to| Link::new(from, to)));
    let touches = |link: &Link| chosen.contains(&link.from) || chosen.contains(&link.to);
    pairs.filter(|link| link.from != link.to && touches(link)).collect()
}

fn prove(counts: &BTreeMap<Link, MessageCounts>) -> Proof {
    let all = counts.values().fold(MessageCounts::default(), |sum, one| MessageCounts {
        requests: sum.requests + one.requests,
        replies: sum.replies + one.replies,
        dropped_requests: sum.dropped_requests + one.dropped_requests,
        dropped_replies: sum.dropped_replies + one.dropped_replies,
        duplicated: sum.duplicated + one.duplicated,
        delayed: sum.delayed + one.delayed,
        reordered: sum.reordered + one.reordered,
        replayed: sum.replayed + one.replayed,
    });
    let MessageCounts {
        dropped_requests, dropped_replies, duplicated, reordered, replayed, ..
    } = all;
    let reason = match (all.requests, all.touched()) {
        (0, 0) => "no message came".to_owned(),
        (seen, 0) => format!("of {seen} messages each arrived once and in order"),
        (seen, _) => format!(
            "of {seen} messages {dropped_requests} and {dropped_replies} answers were lost, {duplicated} came twice, \
             {reordered} came after later ones, {replayed} old ones came again"
        ),
    };
    let links: Vec<Value> =
        counts.iter().map(|(link, c)| json!({"link": link, "counts": c})).collect();
    Proof {
        effective: all.touched() > 0,
        reason,
        evidence: json!({ "counts": all, "links": links }),
    }
}

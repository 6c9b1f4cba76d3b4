//! `echo`: a node answers what it was told, to whom it was told by.
//!
//! Nothing is told twice, so that the answer to another one is found out.

use crate::decode::unknown_function;
use crate::finding::{Finding, Found, answered, count, short, who};
use crate::{
    Caller, Completion, DecodeError, Generator, Invocation, JudgeOptions, Settings, Workload,
};
use checker::Judgement;
use history::{History, NodeId, Operation};
use serde_json::json;

const FUNCTIONS: &[&str] = &["echo"];

/// See the module.
pub(crate) struct Echo;

fn echo(what: &str) -> Invocation {
    Invocation { f: "echo", key: None, value: json!(format!("Please echo {what}")) }
}

#[derive(Default)]
struct Counting(u64);

impl Generator for Counting {
    fn next(&mut self, _: &Caller) -> Invocation {
        self.0 += 1;
        echo(&self.0.to_string())
    }

    fn complete(&mut self, _: &Caller, _: &Invocation, _: &Completion) {}

    fn final_reads(&self) -> Vec<Invocation> {
        vec![echo("this last one")]
    }
}

impl Workload for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn about(&self) -> &'static str {
        "words that nodes give back as they came: echo (Maelstrom)"
    }

    fn check(&self) -> &'static str {
        "echoed"
    }

    fn functions(&self) -> &'static [&'static str] {
        FUNCTIONS
    }

    fn generator(&self, _: &Settings) -> Option<Box<dyn Generator>> {
        Some(Box::<Counting>::default())
    }

    fn recovery(&self, node: NodeId, attempt: u64) -> Vec<Invocation> {
        vec![echo(&format!("after the faults, {node}, {attempt}"))]
    }

    fn judge(&self, history: &History, _: &JudgeOptions<'_>) -> Result<Judgement, DecodeError> {
        let (mut right, mut wrong) = (0, 0);
        let mut first = None;
        for operation in &history.operations {
            if operation.f != "echo" {
                return Err(DecodeError::new(operation, unknown_function(operation, FUNCTIONS)));
            }
            let Some((answer, _)) = answered(operation) else { continue };
            if *answer == operation.input {
                right += 1;
                continue;
            }
            wrong += 1;
            let (who, told, said) = (who(operation), short(&operation.input), short(answer));
            first.get_or_insert_with(|| Finding {
                operations: vec![operation.index],
                sentences: vec![format!("{who} said {told} and was answered {said}.")],
            });
        }
        let found = match first {
            Some(finding) => Found::Wrong(
                format!("{} of {} is not what was told", wrong, count(right + wrong, "answer")),
                finding,
            ),
            None => Found::Right(format!("{}, each as it was told", count(right, "answer"))),
        };
        Ok(found.into())
    }

    fn describe(&self, operation: &Operation) -> String {
        let told = format!("{} {}", operation.f, short(&operation.input));
        match answered(operation) {
            Some((answer, _)) if *answer == operation.input => told,
            Some((answer, _)) => format!("{told} → {}", short(answer)),
            None => told,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::finding::tests::{Line::*, judge, read};

    #[test]
    fn an_answer_is_what_was_told() {
        let right = [Ok("echo", "\"a\"", "\"a\""), Info("echo", "\"b\""), Ok("echo", "{}", "{}")];
        assert_eq!(judge("echo", &right), "valid: 2 answers, each as it was told []");
        let mut wrong = right.to_vec();
        wrong.push(Ok("echo", "\"c\"", "\"b\""));
        let said = "invalid: 1 of 3 answers is not what was told [6] \
                    c3 on n1 said \"c\" and was answered \"b\".";
        assert_eq!(judge("echo", &wrong), said);
        assert!(read("echo", &[Ok("generate", "1", "1")]).is_err());
    }
}

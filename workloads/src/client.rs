//! How a workload talks to a system, whatever the system is.
//!
//! A system under test hands out clients that implement [`KvClient`]; [`execute`] turns one [`Invocation`] into one
//! typed call and its answer into one [`Completion`]. The honesty of every verdict rests on one distinction made here:
//! a *definite* error says that the operation certainly did not happen (`fail`), an *indefinite* one says that it may
//! have, or may still (`info`). A client that is not sure says indefinite: a wrong `info` only weakens a check, a wrong
//! `fail` accuses a correct system.
//!
//! Nothing here opens a connection, reads a clock or retries: that is the system's client, which gets a deadline and
//! must answer by then.

use crate::{Completion, Invocation};
use history::NodeId;
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A boxed future, so that the traits here can be used as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One operation on a key-value system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvOperation {
    /// The value of `key` now.
    Read {
        /// The key read.
        key: String,
    },
    /// Sets `key`, whether or not it exists.
    Write {
        /// The key written.
        key: String,
        /// Its new value.
        value: i64,
    },
    /// Sets `key` to `to` if it is exactly `from` now; the comparison and the write are one step.
    Cas {
        /// The key compared and perhaps written.
        key: String,
        /// What the key must hold.
        from: i64,
        /// Its new value.
        to: i64,
    },
    /// Removes `key`, whether or not it exists.
    Delete {
        /// The key removed.
        key: String,
    },
}

impl KvOperation {
    /// The key it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Read { key }
            | Self::Write { key, .. }
            | Self::Cas { key, .. }
            | Self::Delete { key } => key,
        }
    }

    /// The call that an invocation asks for, if it is one of a key-value system's.
    #[must_use]
    pub fn from_invocation(invocation: &Invocation) -> Option<Self> {
        let key = invocation.key.clone()?;
        match invocation.f {
            "read" => Some(Self::Read { key }),
            "write" => Some(Self::Write { key, value: invocation.value.as_i64()? }),
            "cas" => {
                let [from, to] = invocation.value.as_array()?.as_slice() else { return None };
                Some(Self::Cas { key, from: from.as_i64()?, to: to.as_i64()? })
            }
            "delete" => Some(Self::Delete { key }),
            _ => None,
        }
    }
}

/// What a key-value system answered: each says that the operation happened, except that a mismatch wrote nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvAnswer {
    /// Of a read: the value, none if the key does not exist.
    Value(Option<i64>),
    /// Of a write or a delete.
    Done,
    /// Of a compare-and-set that found `from` and wrote `to`.
    Swapped,
    /// Of a compare-and-set that found anything else; an observation, not an error.
    Mismatch,
}

/// Whether an operation that ended in an error can have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// It certainly did not happen and never will: recorded as `fail`.
    Definite,
    /// It may have happened, or may yet: recorded as `info`.
    Indefinite,
}

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ClientError {
    /// Whether the operation can have happened.
    pub class: ErrorClass,
    /// A short code for the history, such as `timeout`.
    pub code: &'static str,
    /// The same for people.
    pub message: String,
}

/// One connection of one client process to a key-value system.
pub trait KvClient: Send {
    /// Performs `operation` and answers before `deadline` (a duration from now) has passed, give or take scheduling.
    ///
    /// # Errors
    /// A [`ClientError`] whose class is definite only on the word of the system itself, never for a time-out, a lost
    /// connection or a transport's own status.
    fn call<'a>(
        &'a mut self,
        operation: &'a KvOperation,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<KvAnswer, ClientError>>;

    /// Performs an operation that is none of keys and values, of a workload that has such, and gives its answer in the
    /// form of `history.jsonl`. A system that has none of them sends nothing.
    ///
    /// # Errors
    /// As of [`Self::call`].
    fn request<'a>(
        &'a mut self,
        invocation: &'a Invocation,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Value, ClientError>> {
        let _ = deadline;
        let message = format!("there is no {} here", invocation.f);
        let (class, code) = (ErrorClass::Definite, "unsupported");
        Box::pin(async move { Err(ClientError { class, code, message }) })
    }

    /// The node that answered last or, failing that, was asked last.
    fn node(&self) -> Option<NodeId>;
}

/// Performs one invocation through `client` and says how it ended, in the words of the history.
///
/// A mismatch ends as `fail` with the error `mismatch`. An answer of the wrong kind (a value for a write, say) proves
/// nothing about what happened and ends as `info` with `protocol`. An invocation that no key-value call can express is the
/// client's [`KvClient::request`].
pub fn execute<'a>(
    client: &'a mut dyn KvClient,
    invocation: &'a Invocation,
    deadline: Duration,
) -> BoxFuture<'a, Completion> {
    Box::pin(async move {
        let answer = match KvOperation::from_invocation(invocation) {
            Some(operation) => {
                let answer = client.call(&operation, deadline).await;
                answer.map(|answer| completion_of(&operation, answer))
            }
            None => client.request(invocation, deadline).await.map(Completion::Ok),
        };
        match answer {
            Ok(completion) => completion,
            Err(ClientError { class: ErrorClass::Definite, code, .. }) => {
                Completion::Fail { error: code.to_owned() }
            }
            Err(ClientError { class: ErrorClass::Indefinite, code, .. }) => {
                Completion::Info { error: code.to_owned() }
            }
        }
    })
}

fn completion_of(operation: &KvOperation, answer: KvAnswer) -> Completion {
    match (operation, answer) {
        (KvOperation::Read { .. }, KvAnswer::Value(value)) => Completion::Ok(json!(value)),
        (KvOperation::Write { value, .. }, KvAnswer::Done) => Completion::Ok(json!(value)),
        (KvOperation::Delete { .. }, KvAnswer::Done) => Completion::Ok(Value::Null),
        (KvOperation::Cas { from, to, .. }, KvAnswer::Swapped) => Completion::Ok(json!([from, to])),
        (KvOperation::Cas { .. }, KvAnswer::Mismatch) => {
            Completion::Fail { error: crate::MISMATCH.to_owned() }
        }
        _ => Completion::Info { error: "protocol".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    struct Scripted(Result<KvAnswer, ClientError>);

    impl KvClient for Scripted {
        fn call<'a>(
            &'a mut self,
            _: &'a KvOperation,
            _: Duration,
        ) -> BoxFuture<'a, Result<KvAnswer, ClientError>> {
            let answer = self.0.clone();
            Box::pin(async move { answer })
        }

        fn node(&self) -> Option<NodeId> {
            None
        }
    }

    fn run(f: &'static str, value: Value, answer: Result<KvAnswer, ClientError>) -> Completion {
        let invocation = Invocation { f, key: Some("k1".to_owned()), value };
        let mut client = Scripted(answer);
        let mut future = execute(&mut client, &invocation, Duration::from_secs(1));
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(completion) => completion,
            Poll::Pending => panic!("a scripted client never waits"),
        }
    }

    fn fail(error: &str) -> Completion {
        Completion::Fail { error: error.to_owned() }
    }

    fn info(error: &str) -> Completion {
        Completion::Info { error: error.to_owned() }
    }

    #[test]
    fn answers_become_completions() {
        assert_eq!(
            run("read", Value::Null, Ok(KvAnswer::Value(None))),
            Completion::Ok(Value::Null)
        );
        assert_eq!(
            run("read", Value::Null, Ok(KvAnswer::Value(Some(7)))),
            Completion::Ok(json!(7))
        );
        assert_eq!(run("write", json!(3), Ok(KvAnswer::Done)), Completion::Ok(json!(3)));
        assert_eq!(run("delete", Value::Null, Ok(KvAnswer::Done)), Completion::Ok(Value::Null));
        assert_eq!(run("cas", json!([1, 2]), Ok(KvAnswer::Swapped)), Completion::Ok(json!([1, 2])));
        assert_eq!(run("cas", json!([1, 2]), Ok(KvAnswer::Mismatch)), fail("mismatch"));
    }

    #[test]
    fn errors_keep_their_class() {
        let error = |class| Err(ClientError { class, code: "x", message: String::new() });
        assert_eq!(run("write", json!(3), error(ErrorClass::Definite)), fail("x"));
        assert_eq!(run("write", json!(3), error(ErrorClass::Indefinite)), info("x"));
    }

    #[test]
    fn nonsense_is_never_an_answer() {
        assert_eq!(run("write", json!(3), Ok(KvAnswer::Mismatch)), info("protocol"));
        assert_eq!(run("read", Value::Null, Ok(KvAnswer::Done)), info("protocol"));
        assert_eq!(run("enqueue", json!(3), Ok(KvAnswer::Done)), fail("unsupported"));
        assert_eq!(run("cas", json!(3), Ok(KvAnswer::Swapped)), fail("unsupported"));
    }
}

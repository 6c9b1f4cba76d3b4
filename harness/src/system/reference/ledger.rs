//! What an operation may claim, given what each of its attempts proved.
//!
//! One attempt is easy. Several are not: an attempt that timed out may be executed later, so that a
//! refusal of the next attempt says nothing about the operation. The rules, for an operation that is
//! safe to repeat (a read, or an effect under one session and sequence, which the system executes at
//! most once and answers the same each time; no other is ever asked):
//!
//! * an answer ends it as `ok` (or as a mismatch), whatever came before;
//! * without one it is `fail` if every attempt was definite, and `info` if any was not.

use super::answer::{Next, Row, Trouble};
use workloads::{ClientError, ErrorClass, KvAnswer};

/// The attempts of one operation so far.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    indefinite: Option<Trouble>,
    definite: Option<Trouble>,
}

/// Where an operation stands after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is over.
    Over(Result<KvAnswer, ClientError>),
    /// Another attempt may still settle it.
    Open,
}

impl Ledger {
    /// Takes in one attempt.
    pub fn note(&mut self, attempt: Result<KvAnswer, Trouble>) -> Standing {
        let trouble = match attempt {
            Ok(answer) => return Standing::Over(Ok(answer)),
            Err(trouble) => trouble,
        };
        let next = trouble.row.next;
        match trouble.row.class {
            ErrorClass::Definite => self.definite = Some(trouble),
            ErrorClass::Indefinite => self.indefinite = Some(trouble),
        }
        match next {
            Next::Retry => Standing::Open,
            Next::Stop => Standing::Over(Err(self.give_up())),
        }
    }

    /// How the operation ends if there is no further attempt. With no attempt at all nothing was
    /// sent, and it certainly did not happen.
    #[must_use]
    pub fn give_up(&self) -> ClientError {
        let (class, trouble) = match (&self.indefinite, &self.definite) {
            (Some(trouble), _) => (ErrorClass::Indefinite, trouble),
            (None, Some(trouble)) => (ErrorClass::Definite, trouble),
            (None, None) => {
                return ClientError {
                    class: ErrorClass::Definite,
                    code: "not-sent",
                    message: "the deadline passed before the first attempt".to_owned(),
                };
            }
        };
        let Row { code, about, .. } = trouble.row;
        ClientError { class, code, message: format!("{about} ({})", trouble.message) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::{self, TABLE};
    use super::*;

    fn trouble(row: Row) -> Result<KvAnswer, Trouble> {
        Err(Trouble::new(row, "x"))
    }

    /// Plays attempts, then gives up if they left the operation open.
    fn play(attempts: &[Result<KvAnswer, Trouble>]) -> Result<KvAnswer, String> {
        let mut ledger = Ledger::default();
        let mut end = None;
        for attempt in attempts {
            assert_eq!(end, None, "an attempt after the end");
            if let Standing::Over(result) = ledger.note(attempt.clone()) {
                end = Some(result);
            }
        }
        end.unwrap_or_else(|| Err(ledger.give_up())).map_err(|error| {
            let kind = match error.class {
                ErrorClass::Definite => "fail",
                ErrorClass::Indefinite => "info",
            };
            format!("{kind} {}", error.code)
        })
    }

    #[test]
    fn one_attempt_ends_as_its_row_says() {
        for row in TABLE {
            let kind = match row.class {
                ErrorClass::Definite => "fail",
                ErrorClass::Indefinite => "info",
            };
            assert_eq!(play(&[trouble(*row)]), Err(format!("{kind} {}", row.code)));
        }
    }

    #[test]
    fn a_refusal_after_a_timeout_is_not_a_failure() {
        for row in TABLE.iter().filter(|row| row.class == ErrorClass::Definite) {
            let end = play(&[trouble(answer::TIMEOUT), trouble(*row)]);
            assert_eq!(end, Err("info timeout".to_owned()), "{}", row.code);
        }
    }

    #[test]
    fn a_timeout_after_a_refusal_is_not_a_failure() {
        let end = play(&[trouble(answer::NOT_LEADER), trouble(answer::TIMEOUT)]);
        assert_eq!(end, Err("info timeout".to_owned()));
    }

    #[test]
    fn refusals_alone_are_a_failure() {
        let end = play(&[trouble(answer::NO_LEADER), trouble(answer::NOT_LEADER)]);
        assert_eq!(end, Err("fail not-leader".to_owned()));
    }

    #[test]
    fn a_deduplicated_answer_ends_it_whatever_came_before() {
        for answer in [KvAnswer::Done, KvAnswer::Swapped, KvAnswer::Mismatch] {
            let attempts = [trouble(answer::TIMEOUT), trouble(answer::NOT_LEADER), Ok(answer)];
            assert_eq!(play(&attempts), Ok(answer));
        }
    }

    #[test]
    fn an_expired_session_is_definite_only_for_a_first_attempt() {
        assert_eq!(
            play(&[trouble(answer::SESSION_EXPIRED)]),
            Err("fail session-expired".to_owned())
        );
        assert_eq!(
            play(&[trouble(answer::STATUS), trouble(answer::SESSION_EXPIRED)]),
            Err("info connection".to_owned())
        );
    }

    #[test]
    fn nothing_sent_is_definite() {
        assert_eq!(play(&[]), Err("fail not-sent".to_owned()));
    }
}

//! A lock, with or without fencing tokens.
//!
//! The state is who holds it and the last token that was given. A token is greater than all that
//! were given before; numbers may be left out. A lock that knows no tokens gives none.
//!
//! A lock frees itself only when its holder says so: a system that takes it from a holder that
//! seems to be dead is not this lock, and a holder that was robbed will show it.

use crate::fast::layers::Span;
use crate::fast::lock::{Action, BYTES_PER_CALL, Deed, lock};
use crate::{Budget, Call, Finding, Halt, Spec};
use stateright::semantics::SequentialSpec;

/// Who holds the lock, and which token was the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lock {
    /// Who holds it; nobody if it is free.
    pub holder: Option<u64>,
    /// The last token given; none before the first, and where there are no tokens.
    pub token: Option<i64>,
}

/// What can be asked of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Have it held by this owner.
    Acquire(u64),
    /// Have it no longer held by this owner.
    Release(u64),
}

/// What a lock answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ret {
    /// The lock is the caller's, with this token, if there are tokens.
    Token(Option<i64>),
    /// The lock is free.
    Done,
    /// Nothing was done: the lock was held already, or not by who wanted to release it.
    Refused,
}

impl Lock {
    /// Whether an operation would be refused.
    fn refuses(self, op: Op) -> bool {
        match op {
            Op::Acquire(_) => self.holder.is_some(),
            Op::Release(owner) => self.holder != Some(owner),
        }
    }
}

impl SequentialSpec for Lock {
    type Op = Op;
    type Ret = Ret;

    /// Gives the lowest token that may be given; none if it has given none, as a lock that knows no
    /// tokens would.
    ///
    /// So an acquire of unknown outcome, which was given *some* token, forbids the fewest to those
    /// after it. That it forbids none where it is the first is right too: its token may have been
    /// any lower number.
    fn invoke(&mut self, op: &Op) -> Ret {
        if self.refuses(*op) {
            return Ret::Refused;
        }
        match op {
            Op::Acquire(owner) => {
                let token = match self.token {
                    None => None,
                    // No token is left to give, and so none to hold it by.
                    Some(i64::MAX) => return Ret::Refused,
                    Some(last) => Some(last + 1),
                };
                *self = Self { holder: Some(*owner), token };
                Ret::Token(token)
            }
            Op::Release(_) => {
                self.holder = None;
                Ret::Done
            }
        }
    }

    fn is_valid_step(&mut self, op: &Op, ret: &Ret) -> bool {
        match (op, ret) {
            (_, Ret::Refused) => self.refuses(*op),
            (Op::Acquire(owner), Ret::Token(token)) => {
                let rises = token.is_none() || *token > self.token;
                let valid = rises && !self.refuses(*op);
                if valid {
                    *self = Self { holder: Some(*owner), token: token.or(self.token) };
                }
                valid
            }
            _ => self.invoke(op) == *ret,
        }
    }
}

impl Spec for Lock {
    fn describe(op: &Op, ret: Option<&Ret>) -> String {
        match (op, ret) {
            (Op::Acquire(_), Some(Ret::Token(Some(token)))) => format!("acquire → {token}"),
            (Op::Acquire(_), Some(Ret::Refused)) => "acquire refused".to_owned(),
            (Op::Acquire(_), _) => "acquire".to_owned(),
            (Op::Release(_), Some(Ret::Refused)) => "release refused".to_owned(),
            (Op::Release(_), _) => "release".to_owned(),
        }
    }

    fn describe_state(&self) -> String {
        match (self.holder, self.token) {
            (None, None) => "free".to_owned(),
            (None, Some(token)) => format!("free, last token {token}"),
            (Some(owner), None) => format!("held by c{owner}"),
            (Some(owner), Some(token)) => format!("held by c{owner}, token {token}"),
        }
    }

    fn specialised(
        &self,
        calls: &[Call<Self>],
        _certify: bool,
        budget: &mut Budget<'_>,
    ) -> Result<Finding, Halt> {
        if self.holder.is_some() {
            return Ok(Finding::Declined("the lock is held to begin with"));
        }
        budget.hold(BYTES_PER_CALL * calls.len() as u64)?;
        let mut deeds = Vec::with_capacity(calls.len());
        for (place, call) in calls.iter().enumerate() {
            budget.spend(1)?;
            let (owner, action) = match (call.op, call.answer.as_ref().map(|answer| answer.ret)) {
                (Op::Acquire(owner), Some(Ret::Token(token))) => (owner, Action::Acquire(token)),
                (Op::Acquire(owner), None) => (owner, Action::Acquire(None)),
                (Op::Release(owner), None | Some(Ret::Done)) => (owner, Action::Release),
                (_, Some(Ret::Refused)) => {
                    return Ok(Finding::Declined("calls were refused"));
                }
                _ => return Ok(Finding::Declined("an answer is that of another operation")),
            };
            deeds.push(Deed { owner, action, span: Span::new(place, call) });
        }
        lock(self.token, deeds, budget)
    }
}

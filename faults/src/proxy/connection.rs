//! One connection: the dialler's socket, the target's socket, and a flow in each direction.
//!
//! One task owns all of it. It lives through three parts: *hanging* while the dialler's link is held (or while the plan
//! leaves such calls unanswered, if this one had to be answered to know whose it is), *dialling* the target, and
//! *carrying* bytes until both directions have ended. Where the target cannot be had, the dialler is told by reset, over
//! the link that carries the answers.

use super::board::{Board, Way};
use super::flow::{CHUNK_BYTES, End, Flow, Wants};
use super::port::Caller;
use super::route::Route;
use super::shared::Entered;
use super::side::Side;
use super::tally::count;
use crate::pace::Accept;
use history::NodeId;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tokio::time::{Instant, Sleep, sleep_until};

thread_local! {
    /// What is read goes through here; nobody waits while holding it.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK_BYTES]);
}

/// One connection through the hub.
pub(super) struct Connection {
    board: Board,
    /// By which the board wakes it when the plan changes.
    waker: Option<Waker>,
    /// Until something that waits is due.
    timer: Option<Pin<Box<Sleep>>>,
    dialler: Side,
    target: Side,
    /// From the dialler to the target.
    forth: Flow,
    /// From the target to the dialler.
    back: Flow,
    /// Whose it is, if it was accepted to find that out.
    taken: Option<Caller>,
    entered: Entered,
}

impl Connection {
    /// `lot` names it in draws.
    pub(super) fn new(
        dialler: Side,
        ways: [Way; 2],
        lot: u64,
        board: &Board,
        entered: Entered,
    ) -> Self {
        let [forth, back] = ways.map(|way| Flow::new(way, lot, entered.passed.clone(), board));
        count(&forth.tally().dialled);
        Self {
            board: board.clone(),
            waker: None,
            timer: None,
            dialler,
            target: Side::absent(),
            forth,
            back,
            taken: None,
            entered,
        }
    }

    /// The same for one that was accepted to find out whose it is: it hangs also where it should not have been accepted.
    pub(super) fn taken(mut self, caller: Caller) -> Self {
        self.taken = Some(caller);
        self
    }

    /// Carries the connection to `node`, by this route, until it ends.
    pub(super) async fn run(mut self, node: NodeId, route: Rc<Route>) {
        let alive = self.hang().await;
        if alive && self.dialler.was_reset() {
            return;
        }
        let stream = if alive { route.dial(node, self.board.shared()).await } else { None };
        match stream {
            Some(stream) => {
                count(&self.forth.tally().opened);
                self.target = Side::new(stream);
            }
            None => {
                if alive {
                    count(&self.forth.tally().refused);
                }
                self.back.abort(Instant::now());
            }
        }
        poll_fn(|context| self.carry(context)).await;
    }

    /// Waits until the dialler's link lets it dial; false if a heal has reset it instead.
    async fn hang(&mut self) -> bool {
        if self.waits() {
            count(&self.forth.tally().hung);
        }
        if self.is_unanswered() {
            count(&self.forth.tally().taken);
        }
        poll_fn(|context| {
            self.watch(context);
            if self.refresh() {
                Poll::Ready(false)
            } else if self.waits() {
                Poll::Pending
            } else {
                Poll::Ready(true)
            }
        })
        .await
    }

    fn waits(&self) -> bool {
        self.forth.holds() || self.is_unanswered()
    }

    /// Whether it is a call that the plan leaves without an answer.
    fn is_unanswered(&self) -> bool {
        self.taken.is_some_and(|caller| self.board.accept(caller) == Accept::Hang)
    }

    /// Has this task woken when the plan changes. Before the plan is looked at, so that no change is missed.
    fn watch(&mut self, context: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.board.wake(self.entered.id, context.waker());
            self.waker = Some(context.waker().clone());
        }
    }

    /// Follows the plan if it has changed; true if a heal resets this connection.
    fn refresh(&mut self) -> bool {
        let mut cut = false;
        for flow in [&mut self.forth, &mut self.back] {
            if flow.refresh(&self.board) {
                count(&flow.tally().reset);
                cut = true;
            }
        }
        if cut {
            let now = Instant::now();
            self.forth.abort(now);
            self.back.abort(now);
        }
        cut
    }

    /// Does what can be done, until both directions have ended.
    fn carry(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.watch(context);
        loop {
            self.refresh();
            let (forth, back) = self.step();
            if self.is_over() {
                return Poll::Ready(());
            }
            if forth.again || back.again {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let wake = [forth.wake, back.wake].into_iter().flatten().min();
            // All are asked, so that each can wake the task.
            let dialler = self.dialler.is_ready(forth.read, back.write, context);
            let target = self.target.is_ready(back.read, forth.write, context);
            if !(dialler || target || self.is_time(wake, context)) {
                return Poll::Pending;
            }
        }
    }

    fn is_time(&mut self, wake: Option<Instant>, context: &mut Context<'_>) -> bool {
        let Some(wake) = wake else { return false };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(wake)));
        if timer.deadline() != wake {
            timer.as_mut().reset(wake);
        }
        timer.as_mut().poll(context).is_ready()
    }

    /// Both directions in one step, in which nothing is waited for.
    fn step(&mut self) -> (Wants, Wants) {
        let (dialler, target) = (&mut self.dialler, &mut self.target);
        let before = (dialler.broken, target.broken);
        let now = Instant::now();
        let (mut forth, back) = SCRATCH.with_borrow_mut(|scratch| {
            let forth = self.forth.step(dialler, target, &self.board, scratch, now);
            (forth, self.back.step(target, dialler, &self.board, scratch, now))
        });
        // What one direction learns of a side's death may be the other's to pass on.
        forth.again |= before != (dialler.broken, target.broken);
        (forth, back)
    }

    /// Whether nobody is left to tell anything. Closes what ended well.
    fn is_over(&mut self) -> bool {
        if self.dialler.is_gone() && self.target.is_gone() {
            return true;
        }
        let finished = Some(End::Finish);
        if self.forth.done() == finished && self.back.done() == finished {
            self.dialler.close();
            self.target.close();
            return true;
        }
        false
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.board.forget(self.entered.id);
    }
}

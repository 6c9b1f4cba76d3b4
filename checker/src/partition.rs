//! The calls of one key, with what their shapes say turned into numbers.
//!
//! Shapes are asked for once and their states numbered, so that the search and the shrink, which
//! look at many subsets of the same calls, compare integers. Calls are in the order of their
//! starts.

use crate::budget::{Budget, Halt};
use crate::hash::{Table, hash_of};
use crate::problem::Problem;
use crate::search::Room;
use crate::{Call, Leaves, Needs, Spec};
use hashbrown::HashTable;
use std::cell::Cell;
use std::sync::OnceLock;

/// A state, by its place in [`Partition::states`].
pub(crate) type StateId = u32;

/// [`Needs`] in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Need {
    Nothing,
    Exactly(StateId),
    AnythingBut(StateId),
    Unclear,
}

/// [`Leaves`] in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Leave {
    Unchanged,
    Always(StateId),
    Unclear,
}

/// What one call needs and leaves, in eight bytes: whoever looks at a million of them waits for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    need: u32,
    leave: u32,
}

impl Effect {
    /// Needs nothing, or leaves the state as it is.
    const NOTHING: u32 = u32::MAX;
    const UNCLEAR: u32 = u32::MAX - 1;
    /// Set where any state will do but the one that the other bits name.
    const BUT: u32 = 1 << 31;
    /// States have numbers below this.
    const STATES: u32 = Self::BUT - 2;

    fn new(need: Need, leave: Leave) -> Self {
        let need = match need {
            Need::Nothing => Self::NOTHING,
            Need::Exactly(state) => state,
            Need::AnythingBut(state) => state | Self::BUT,
            Need::Unclear => Self::UNCLEAR,
        };
        let leave = match leave {
            Leave::Unchanged => Self::NOTHING,
            Leave::Always(state) => state,
            Leave::Unclear => Self::UNCLEAR,
        };
        Self { need, leave }
    }

    pub(crate) fn need(self) -> Need {
        match self.need {
            Self::NOTHING => Need::Nothing,
            Self::UNCLEAR => Need::Unclear,
            state if state & Self::BUT == 0 => Need::Exactly(state),
            state => Need::AnythingBut(state & !Self::BUT),
        }
    }

    pub(crate) fn leave(self) -> Leave {
        match self.leave {
            Self::NOTHING => Leave::Unchanged,
            Self::UNCLEAR => Leave::Unclear,
            state => Leave::Always(state),
        }
    }
}

/// The calls of one key.
pub(crate) struct Partition<S: Spec> {
    pub(crate) key: Option<String>,
    /// In the order of (start, index).
    pub(crate) calls: Vec<Call<S>>,
    /// Every state a shape names, the initial one first.
    pub(crate) states: Vec<S>,
    /// For each call, with its answer if it has one.
    pub(crate) effects: Vec<Effect>,
    /// Without it.
    open_effects: Vec<Effect>,
    operations: OnceLock<Vec<u32>>,
    touches: OnceLock<bool>,
    /// The room of the last problem and of the last search, for the next.
    pub(crate) layout: Cell<Problem>,
    pub(crate) room: Cell<Room>,
}

impl<S: Spec> Partition<S> {
    /// Numbers what the shapes of these calls say; the calls are sorted by [`sort`].
    ///
    /// # Errors
    /// When the budget is spent; the calls are handed back.
    pub(crate) fn new(
        initial: &S,
        key: Option<String>,
        calls: Vec<Call<S>>,
        budget: &mut Budget<'_>,
    ) -> Result<Self, (Halt, Vec<Call<S>>)> {
        if let Err(halt) = budget.spend(calls.len() as u64) {
            return Err((halt, calls));
        }
        // Every other call of a busy register leaves a state of its own. Room that is not used is not touched.
        let mut states = Interner::with_room_for(calls.len() / 2);
        states.number(initial.clone());
        let mut effects = Vec::with_capacity(calls.len());
        for call in &calls {
            let ret = call.answer.as_ref().map(|answer| &answer.ret);
            effects.push(states.effect(S::shape(&call.op, ret)));
        }
        Ok(Self {
            key,
            calls,
            states: states.states,
            effects,
            open_effects: Vec::new(),
            operations: OnceLock::new(),
            touches: OnceLock::new(),
            layout: Cell::default(),
            room: Cell::default(),
        })
    }

    /// Numbers besides what the shapes of the calls would be without their answers, which is what
    /// a cut before an answer makes of a call. To be called before any cut; a second time costs
    /// nothing.
    ///
    /// # Errors
    /// When the budget is spent.
    pub(crate) fn know_cuts(&mut self, budget: &mut Budget<'_>) -> Result<(), Halt> {
        if self.open_effects.len() == self.calls.len() {
            return Ok(());
        }
        let mut states = Interner::default();
        for state in std::mem::take(&mut self.states) {
            states.number(state);
        }
        self.open_effects.clear();
        for (call, effect) in self.calls.iter().zip(&self.effects) {
            self.open_effects.push(match call.answer {
                Some(_) => states.effect(S::shape(&call.op, None)),
                None => *effect,
            });
        }
        self.states = states.states;
        budget.spend(self.calls.len() as u64)
    }

    /// What is known of a call, up to and including the coordinate `horizon`, and whether it was
    /// answered by then.
    pub(crate) fn seen_from(&self, place: usize, horizon: u64) -> (Effect, bool) {
        match &self.calls[place].answer {
            Some(answer) if answer.end > horizon => (self.open_effects[place], false),
            answer => (self.effects[place], answer.is_some()),
        }
    }

    /// For each call, the number of its operation: equal operations have equal numbers.
    pub(crate) fn operations(&self) -> &[u32] {
        self.operations.get_or_init(|| {
            let mut numbers: Table<&S::Op, u32> = Table::default();
            let mut operations = Vec::with_capacity(self.calls.len());
            for call in &self.calls {
                let next = numbers.len() as u32;
                operations.push(*numbers.entry(&call.op).or_insert(next));
            }
            operations
        })
    }

    /// Says so if it is known that no two calls touch.
    pub(crate) fn know_apart(&mut self) {
        self.touches = OnceLock::from(false);
    }

    /// Whether any two calls touch, see [`touch`]. If none do, none do in any part of them.
    pub(crate) fn touches(&self) -> bool {
        *self.touches.get_or_init(|| touch(&self.calls))
    }

    /// How many bytes it takes besides its calls, about.
    pub(crate) fn bytes(&self) -> u64 {
        (size_of_val(&self.effects[..]) + size_of_val(&self.states[..])) as u64
    }

    /// Whether `a` had ended when `b` started.
    pub(crate) fn precedes(&self, a: usize, b: usize) -> bool {
        let (before, after) = (&self.calls[a], &self.calls[b]);
        before.answer.as_ref().is_some_and(|answer| {
            answer.end < after.start
                || answer.end == after.start && before.process == after.process && a < b
        })
    }
}

/// Puts calls into the order that every algorithm wants them in. Most histories have it already.
pub(crate) fn sort<S: Spec>(calls: &mut [Call<S>]) {
    if !calls.is_sorted_by_key(|call| (call.start, call.index)) {
        calls.sort_by_key(|call| (call.start, call.index));
    }
}

/// Coordinates from here on are too large for algorithms that need room above them.
const EXTREME: u64 = u64::MAX - 8;

/// Whether an algorithm may be asked that knows neither the ties within a process nor the end of all numbers: no two
/// calls touch, and no coordinate is so large that arithmetic with it could overflow.
pub(crate) fn are_ordinary<S: Spec>(calls: &[Call<S>]) -> bool {
    let mut ends = Ends::default();
    calls.iter().all(|call| {
        let last = call.answer.as_ref().map_or(call.start, |answer| answer.end);
        call.start < EXTREME && last < EXTREME && !ends.touch(call)
    })
}

/// Whether two calls of one process touch: one started at the very coordinate at which another
/// ended, so that only the process says which came first.
pub(crate) fn touch<S: Spec>(calls: &[Call<S>]) -> bool {
    let mut ends = Ends::default();
    calls.iter().any(|call| ends.touch(call))
}

/// When the last answered call of each process ended, of those seen so far.
#[derive(Default)]
struct Ends(Table<u64, u64>);

impl Ends {
    /// Whether the next call touches the one before it.
    fn touch<S: Spec>(&mut self, call: &Call<S>) -> bool {
        match &call.answer {
            Some(answer) => self.0.insert(call.process, answer.end) == Some(call.start),
            None => self.0.get(&call.process) == Some(&call.start),
        }
    }
}

/// Numbers states. The table has numbers only, so that of a million states the most of it stays near the processor.
#[derive(Clone)]
pub(crate) struct Interner<S> {
    pub(crate) states: Vec<S>,
    numbers: HashTable<StateId>,
    /// What the states hold besides themselves.
    heap: u64,
}

impl<S> Default for Interner<S> {
    fn default() -> Self {
        Self { states: Vec::new(), numbers: HashTable::new(), heap: 0 }
    }
}

impl<S: Spec> Interner<S> {
    fn with_room_for(states: usize) -> Self {
        Self { numbers: HashTable::with_capacity(states), ..Self::default() }
    }

    /// How many bytes the states take, about.
    pub(crate) fn bytes(&self) -> u64 {
        let numbers = self.numbers.capacity() * size_of::<StateId>();
        self.heap + (self.states.capacity() * size_of::<S>() + numbers) as u64
    }

    pub(crate) fn number(&mut self, state: S) -> StateId {
        let Self { states, numbers, heap } = self;
        let hash = hash_of(&state);
        if let Some(number) = numbers.find(hash, |number| states[*number as usize] == state) {
            return *number;
        }
        assert!(states.len() < Effect::STATES as usize, "more states than there are numbers");
        let number = states.len() as StateId;
        *heap += state.heap_bytes();
        states.push(state);
        numbers.insert_unique(hash, number, |number| hash_of(&states[*number as usize]));
        number
    }

    fn effect(&mut self, shape: crate::Shape<S>) -> Effect {
        let need = match shape.needs {
            Needs::Nothing => Need::Nothing,
            Needs::Exactly(state) => Need::Exactly(self.number(state)),
            Needs::AnythingBut(state) => Need::AnythingBut(self.number(state)),
            Needs::Unclear => Need::Unclear,
        };
        let leave = match shape.leaves {
            Leaves::Unchanged => Leave::Unchanged,
            Leaves::Always(state) => Leave::Always(self.number(state)),
            Leaves::Unclear => Leave::Unclear,
        };
        Effect::new(need, leave)
    }
}

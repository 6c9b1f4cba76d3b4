//! Some calls of a partition, laid out for the search: events in order, windows and classes.
//!
//! A problem is a subset of a partition's calls up to a *horizon*: calls that start after it are
//! left out, and calls that are answered after it are open. A history is legal only if each of its
//! prefixes is, so an illegal problem is an illegal history whatever came later.
//!
//! Memory goes by concurrency: a call with an answer takes a *slot* from its invocation to its
//! return and then frees it, so a set of linearized calls is a mask over the slots, as wide as the
//! most calls open at once. Calls of unknown outcome never return; of a class of them (calls that
//! are the same operation) the one invoked first is used first, so that a number says which of them
//! are used. Those numbers lie packed in words of their own ([`Field`]).

mod shapes;

use crate::Spec;
use crate::hash::Table;
use crate::partition::{Leave, Need, Partition, StateId};
use shapes::Shapes;

/// A row that is not there.
pub(crate) const NONE: u32 = u32::MAX;

/// What happens next in a history.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    Invoke(u32),
    Return(u32),
}

/// One call of a problem.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its place in the partition.
    pub(crate) call: u32,
    pub(crate) need: Need,
    pub(crate) leave: Leave,
    /// Rows of one class are the same operation with the same answer.
    pub(crate) class: u32,
    /// Its slot if it is answered; if not, its place in its class.
    pub(crate) bit: u32,
    pub(crate) answered: bool,
    /// A row of the same process that ended at the very coordinate at which this one started, so
    /// that only the process says which came first.
    pub(crate) previous: u32,
    /// Whether this is the `previous` of another row.
    pub(crate) followed: bool,
    /// Place of its invocation among the moments.
    pub(crate) invoked: u32,
    /// Place of its return, [`NONE`] if it has none.
    pub(crate) returned: u32,
}

impl Row {
    /// Sets the state whatever it was.
    pub(crate) fn is_blind(&self) -> bool {
        self.need == Need::Nothing && matches!(self.leave, Leave::Always(_))
    }

    /// Leaves the state as it is wherever it is possible.
    pub(crate) fn is_pure(&self) -> bool {
        self.leave == Leave::Unchanged && self.need != Need::Unclear
    }
}

/// Where a small number is in a row of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) word: u32,
    pub(crate) shift: u32,
    pub(crate) mask: u64,
}

impl Field {
    pub(crate) fn get(self, words: &[u64]) -> u64 {
        words[self.word as usize] >> self.shift & self.mask
    }

    pub(crate) fn increment(self, words: &mut [u64]) {
        words[self.word as usize] += 1 << self.shift;
    }
}

/// What laying out fills and nobody looks at later.
#[derive(Debug, Default)]
struct Scratch {
    numbers: Vec<u32>,
    ends: Vec<(u64, u32)>,
    free: Vec<u32>,
    answered: Shapes,
    unknown: Shapes,
    /// Of those of unknown outcome, where shapes do not tell all.
    operations: Table<(Need, Leave, u32), u32>,
    /// Classes of an earlier problem, for their room.
    classes: Vec<Vec<u32>>,
}

/// The scratch of a problem of more rows is not kept for the next: that would be smaller, most
/// likely, and the room is better used by the search.
const MOST_KEPT: usize = 1_024;

/// A search problem.
#[derive(Debug, Default)]
pub(crate) struct Problem {
    pub(crate) rows: Vec<Row>,
    pub(crate) moments: Vec<Moment>,
    /// The rows of unknown outcome by class, each class in the order of invocation.
    pub(crate) unknown: Vec<Vec<u32>>,
    /// Where the number of used members of each of those classes is.
    pub(crate) fields: Vec<Field>,
    /// How many bits the masks need.
    pub(crate) slots: usize,
    /// How many words the numbers need.
    pub(crate) unknown_words: usize,
    /// Whether shapes tell all there is to know. States are then numbers only, and those that no
    /// row asks about are one.
    pub(crate) shaped: bool,
    pub(crate) initial: StateId,
    /// How many states there are, if `shaped`.
    pub(crate) states: usize,
    /// How many classes of answered rows there are.
    pub(crate) classes: usize,
    scratch: Scratch,
}

impl Problem {
    /// Lays out the calls at `subset` (ascending) up to and including the coordinate `horizon`.
    pub(crate) fn new<S: Spec>(partition: &Partition<S>, subset: &[u32], horizon: u64) -> Self {
        partition.layout.take().lay_out(partition, subset, horizon, true)
    }

    /// Leaves its room to the next of the same partition.
    pub(crate) fn leave<S: Spec>(self, partition: &Partition<S>) {
        if self.rows.len() <= MOST_KEPT {
            partition.layout.set(self);
        }
    }

    /// How many bytes it takes, about.
    pub(crate) fn bytes(&self) -> u64 {
        let rows = self.rows.capacity() * (size_of::<Row>() + 2 * size_of::<u32>());
        (rows + self.moments.capacity() * size_of::<Moment>()) as u64
    }

    /// The same without any use of shapes: every step is tried, and the rules that need shapes do
    /// not apply.
    pub(crate) fn plain<S: Spec>(partition: &Partition<S>, subset: &[u32]) -> Self {
        partition.layout.take().lay_out(partition, subset, u64::MAX, false)
    }

    fn lay_out<S: Spec>(
        self,
        partition: &Partition<S>,
        subset: &[u32],
        horizon: u64,
        use_shapes: bool,
    ) -> Self {
        let Self { mut rows, mut moments, mut unknown, mut fields, mut scratch, .. } = self;
        rows.clear();
        rows.reserve(subset.len());
        moments.clear();
        moments.reserve(2 * subset.len());
        scratch.classes.append(&mut unknown);
        fields.clear();
        for &place in subset {
            let call = &partition.calls[place as usize];
            if call.start > horizon {
                break;
            }
            let (effect, answered) = partition.seen_from(place as usize, horizon);
            let (need, leave) = match use_shapes {
                true => (effect.need(), effect.leave()),
                false => (Need::Unclear, Leave::Unclear),
            };
            // Unknown and without effect: it can always be left out.
            if !answered && leave == Leave::Unchanged {
                continue;
            }
            rows.push(Row {
                call: place,
                need,
                leave,
                class: 0,
                bit: 0,
                answered,
                previous: NONE,
                followed: false,
                invoked: NONE,
                returned: NONE,
            });
        }
        let shaped = rows.iter().all(|row| {
            row.is_pure()
                || matches!(row.need, Need::Nothing | Need::Exactly(_))
                    && matches!(row.leave, Leave::Always(_))
        });
        let mut problem = Self {
            rows,
            moments,
            unknown,
            slots: 0,
            unknown_words: 0,
            fields,
            shaped,
            initial: 0,
            states: partition.states.len(),
            classes: 0,
            scratch,
        };
        if shaped {
            problem.merge_states(partition.states.len());
        }
        if partition.touches() {
            problem.link_processes(partition);
        }
        problem.order_moments(partition);
        problem.give_slots();
        problem.classify(partition);
        if problem.rows.len() > MOST_KEPT {
            problem.scratch = Scratch::default();
        }
        problem
    }

    /// Makes one state of all those that no row needs or needs to be without: no row can tell them
    /// apart.
    fn merge_states(&mut self, states: usize) {
        let numbers = &mut self.scratch.numbers;
        numbers.clear();
        numbers.resize(states, NONE);
        let mut count = 1;
        for row in &self.rows {
            if let Need::Exactly(state) | Need::AnythingBut(state) = row.need {
                let number = &mut numbers[state as usize];
                if *number == NONE {
                    *number = count;
                    count += 1;
                }
            }
        }
        let number = |state: StateId| match numbers[state as usize] {
            NONE => 0,
            number => number,
        };
        for row in &mut self.rows {
            row.need = match row.need {
                Need::Exactly(state) => Need::Exactly(number(state)),
                Need::AnythingBut(state) => Need::AnythingBut(number(state)),
                other => other,
            };
            if let Leave::Always(state) = row.leave {
                row.leave = Leave::Always(number(state));
            }
        }
        self.initial = number(0);
        self.states = count as usize;
    }

    fn link_processes<S: Spec>(&mut self, partition: &Partition<S>) {
        let mut last: Table<u64, u32> = Table::default();
        for place in 0..self.rows.len() {
            let call = &partition.calls[self.rows[place].call as usize];
            if let Some(before) = last.insert(call.process, place as u32) {
                let previous = &self.rows[before as usize];
                let end = partition.calls[previous.call as usize].answer.as_ref();
                if previous.answered && end.is_some_and(|answer| answer.end == call.start) {
                    self.rows[place].previous = before;
                    self.rows[before as usize].followed = true;
                }
            }
        }
    }

    /// Equal coordinates are concurrent: every invocation comes before every return.
    fn order_moments<S: Spec>(&mut self, partition: &Partition<S>) {
        let ends = &mut self.scratch.ends;
        ends.clear();
        for (place, row) in (0_u32..).zip(&self.rows) {
            let answer = partition.calls[row.call as usize].answer.as_ref();
            ends.extend(answer.filter(|_| row.answered).map(|answer| (answer.end, place)));
        }
        ends.sort_unstable();
        let (rows, moments) = (&mut self.rows, &mut self.moments);
        let mut ends = ends.iter().peekable();
        // Rows are in the order of their starts already.
        for place in 0..rows.len() {
            let start = partition.calls[rows[place].call as usize].start;
            while let Some((_, returned)) = ends.next_if(|(end, _)| *end < start) {
                rows[*returned as usize].returned = moments.len() as u32;
                moments.push(Moment::Return(*returned));
            }
            rows[place].invoked = moments.len() as u32;
            moments.push(Moment::Invoke(place as u32));
        }
        for (_, returned) in ends {
            rows[*returned as usize].returned = moments.len() as u32;
            moments.push(Moment::Return(*returned));
        }
    }

    fn give_slots(&mut self) {
        let free = &mut self.scratch.free;
        free.clear();
        for moment in &self.moments {
            match *moment {
                Moment::Invoke(place) if self.rows[place as usize].answered => {
                    let slot = free.pop().unwrap_or_else(|| {
                        self.slots += 1;
                        self.slots as u32 - 1
                    });
                    self.rows[place as usize].bit = slot;
                }
                Moment::Invoke(_) => {}
                Moment::Return(place) => free.push(self.rows[place as usize].bit),
            }
        }
    }

    fn classify<S: Spec>(&mut self, partition: &Partition<S>) {
        let Scratch { answered, unknown, operations, classes, .. } = &mut self.scratch;
        answered.renew(self.states);
        unknown.renew(self.states);
        operations.clear();
        for place in 0..self.rows.len() {
            let row = &mut self.rows[place];
            if row.answered {
                let next = self.classes as u32;
                // Without shapes nothing says that two answers are the same.
                row.class = match self.shaped {
                    true => answered.number(row.need, row.leave, next),
                    false => next,
                };
                self.classes += usize::from(row.class == next);
            } else {
                let next = self.unknown.len() as u32;
                row.class = if row.previous != NONE {
                    // One that must wait for its predecessor need not be the first of its class.
                    next
                } else if self.shaped {
                    unknown.number(row.need, row.leave, next)
                } else {
                    let operation = partition.operations()[row.call as usize];
                    *operations.entry((row.need, row.leave, operation)).or_insert(next)
                };
                if row.class == next {
                    let mut class = classes.pop().unwrap_or_default();
                    class.clear();
                    self.unknown.push(class);
                }
                row.bit = self.unknown[row.class as usize].len() as u32;
                self.unknown[row.class as usize].push(place as u32);
            }
        }
        self.give_fields();
    }

    fn give_fields(&mut self) {
        let (mut word, mut shift) = (0, 0);
        self.fields.clear();
        for class in &self.unknown {
            let bits = usize::BITS - class.len().leading_zeros();
            if shift + bits > 64 {
                (word, shift) = (word + 1, 0);
            }
            let mask = u64::MAX >> (64 - bits);
            self.fields.push(Field { word, shift, mask });
            shift += bits;
        }
        self.unknown_words = word as usize + usize::from(shift > 0);
    }

    /// Makes a class of each call of unknown outcome, as if no two were the same.
    #[cfg(test)]
    pub(crate) fn separate(&mut self) {
        self.unknown = self.unknown.iter().flatten().map(|place| vec![*place]).collect();
        for (class, places) in (0_u32..).zip(&self.unknown) {
            let row = &mut self.rows[places[0] as usize];
            (row.class, row.bit) = (class, 0);
        }
        self.give_fields();
    }
}

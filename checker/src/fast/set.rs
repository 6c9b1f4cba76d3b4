//! A set to which each element is added at most once, and which is read whole.
//!
//! Such a set only grows, so of two reads one shows all that the other shows: in the order of their
//! sizes the reads form a chain. That chain tells where everything belongs: an element is added
//! after the last read that lacks it and before the first that shows it, and an element that no
//! read shows, after all reads. These are layers, and real time is asked by [`arrange`]. Reads that
//! show the same share a layer, as do the adds of elements that appear together: any order of those
//! is legal. An add of unknown outcome happened if its element was read, at any time after it
//! started; if it was not, it may be taken never to have happened, for it lets nothing happen that
//! could not happen without it.
//!
//! A proof keeps the adds of all that its reads show. Adds of other elements may go: without them
//! the reads that are kept stay right.
//!
//! It takes time linear in the total size of the reads, and n log n in the adds. It declines sets
//! to which an element is added twice: then the chain does not say which add was the first.

use super::layers::{Arranged, Placed, Span, arrange, illegal};
use super::lookup::Lookup;
use crate::Finding;
use crate::budget::{Budget, Halt};
use std::collections::{BTreeMap, BTreeSet};

const NAME: &str = "set";

/// Bytes held for each call, at most: what is collected of it, sorted, and placed.
pub(crate) const BYTES_PER_CALL: u64 = 240;

/// A read that was answered.
pub(crate) type Read<'a, T> = (Span, &'a BTreeSet<T>);

/// Decides adds and answered reads of a set that begins as `initial`.
pub(crate) fn set<T: Ord>(
    initial: &BTreeSet<T>,
    adds: Vec<(Span, &T)>,
    mut reads: Vec<Read<'_, T>>,
    budget: &mut Budget<'_>,
) -> Result<Finding, Halt> {
    budget.spend(adds.len() as u64)?;
    let Some(adds) = Lookup::new(adds, |element| initial.contains(element)) else {
        return Ok(Finding::Declined("an element is added more than once"));
    };
    reads.sort_by_key(|(span, _)| span.end);
    let history = History { initial, adds, reads };
    let chain = match history.chain(budget)? {
        Ok(chain) => chain,
        Err(reads) => return Ok(history.proof(&reads, &[])),
    };
    let levels = match history.levels(&chain, budget)? {
        Ok(levels) => levels,
        Err(phantom) => return Ok(illegal(NAME, [phantom])),
    };
    match arrange(history.place(&chain, &levels), budget)? {
        Arranged::Order(order) => Ok(Finding::Legal { by: NAME, order }),
        Arranged::Conflict { early, late } => {
            let pair = [early.span, late.span];
            let among = |read: &&Read<'_, T>| pair.contains(&read.0);
            let mut shown: Vec<Read<'_, T>> = history.reads.iter().filter(among).copied().collect();
            if shown.is_empty() {
                // Two adds: what shows the one that began too late, and not the other.
                shown.extend(chain.values().nth((early.layer / 2) as usize));
            }
            Ok(history.proof(&shown, &pair))
        }
    }
}

/// What is looked at: reads in the order of their ends.
struct History<'a, T> {
    initial: &'a BTreeSet<T>,
    adds: Lookup<'a, T>,
    reads: Vec<Read<'a, T>>,
}

/// Of the reads that show equally many elements, and so the same ones, the first, by their number.
type Chain<'a, T> = BTreeMap<usize, Read<'a, T>>;

impl<'a, T: Ord> History<'a, T> {
    /// The reads as a chain, or those that prove that they are none, as soon as there are any.
    fn chain(
        &self,
        budget: &mut Budget<'_>,
    ) -> Result<Result<Chain<'a, T>, Vec<Read<'a, T>>>, Halt> {
        let mut chain: Chain<'a, T> = BTreeMap::new();
        for &read in &self.reads {
            let elements = read.1;
            budget.spend(1 + elements.len() as u64)?;
            if !self.initial.is_subset(elements) {
                return Ok(Err(vec![read]));
            }
            let below = chain.range(..=elements.len()).next_back().map(|(_, below)| *below);
            let above = chain.range(elements.len()..).next().map(|(_, above)| *above);
            if let Some(below) = below.filter(|below| !below.1.is_subset(elements)) {
                return Ok(Err(vec![below, read]));
            }
            if let Some(above) = above.filter(|above| !elements.is_subset(above.1)) {
                return Ok(Err(vec![above, read]));
            }
            chain.entry(elements.len()).or_insert(read);
        }
        Ok(Ok(chain))
    }

    /// For each add the number of the link of the chain that shows it first, the length of the
    /// chain if none does; or a read that shows what nobody adds.
    fn levels(
        &self,
        chain: &Chain<'a, T>,
        budget: &mut Budget<'_>,
    ) -> Result<Result<Vec<usize>, Span>, Halt> {
        let mut levels = vec![chain.len(); self.adds.len()];
        let mut before = self.initial;
        for (level, (span, elements)) in chain.values().enumerate() {
            budget.spend(1 + elements.len() as u64)?;
            for element in elements.difference(before) {
                match self.adds.find(element) {
                    Some(add) => levels[add] = level,
                    None => return Ok(Err(*span)),
                }
            }
            before = elements;
        }
        Ok(Ok(levels))
    }

    /// Adds in even layers, reads in odd ones.
    fn place(&self, chain: &Chain<'a, T>, levels: &[usize]) -> Vec<Placed> {
        let adds = self.adds.spans().zip(levels);
        let happened = adds.filter(|(span, level)| span.answered || **level < chain.len());
        let mut placed: Vec<Placed> =
            happened.map(|(span, level)| Placed { layer: 2 * *level as u64, span }).collect();
        let numbers: BTreeMap<usize, u64> = chain.keys().copied().zip(0..).collect();
        placed.extend(self.reads.iter().map(|(span, elements)| Placed {
            layer: 2 * numbers[&elements.len()] + 1,
            span: *span,
        }));
        placed
    }

    /// These calls, with the adds of all that these reads show.
    fn proof(&self, reads: &[Read<'_, T>], others: &[Span]) -> Finding {
        let shown = reads.iter().flat_map(|(_, elements)| elements.iter());
        let adds =
            shown.filter_map(|element| self.adds.find(element)).map(|add| self.adds.span(add));
        let reads = reads.iter().map(|read| read.0);
        illegal(NAME, adds.chain(reads).chain(others.iter().copied()))
    }
}

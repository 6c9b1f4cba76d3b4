//! Which call brought an element, where each element is brought by one call at most.
//!
//! A sorted table: looking up is a binary search, and nothing is hashed.

use super::layers::Span;

/// The calls that bring elements, by element.
pub(crate) struct Lookup<'a, T> {
    sorted: Vec<(Span, &'a T)>,
}

impl<'a, T: Ord> Lookup<'a, T> {
    /// None if two calls bring the same element, or one brings an element that is there already.
    pub(crate) fn new(
        mut calls: Vec<(Span, &'a T)>,
        is_there: impl Fn(&T) -> bool,
    ) -> Option<Self> {
        calls.sort_by(|a, b| a.1.cmp(b.1));
        let twice = calls.windows(2).any(|pair| pair[0].1 == pair[1].1);
        let again = calls.iter().any(|(_, element)| is_there(element));
        (!twice && !again).then_some(Self { sorted: calls })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The number of the call that brings an element.
    pub(crate) fn find(&self, element: &T) -> Option<usize> {
        self.sorted.binary_search_by(|(_, other)| (*other).cmp(element)).ok()
    }

    /// When a call was, by its number.
    pub(crate) fn span(&self, number: usize) -> Span {
        self.sorted[number].0
    }

    /// When each was, by number.
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        self.sorted.iter().map(|(span, _)| *span)
    }
}

//! Many elements in few words.

use std::fmt::Display;

/// More elements than this are not all told.
const MOST: usize = 12;
/// Of those, so many of the first and so many of the last are.
const FIRST: usize = 3;
const LAST: usize = 8;

/// The elements, separated by commas: all, or the first and the last and how many there are.
pub(super) fn listed<T: Display>(elements: impl ExactSizeIterator<Item = T>) -> String {
    let count = elements.len();
    let left_out = |place: usize| count > MOST && (FIRST..count - LAST).contains(&place);
    let mut words: Vec<String> = Vec::with_capacity(MOST);
    for (place, element) in elements.enumerate() {
        if !left_out(place) {
            words.push(element.to_string());
        } else if place == FIRST {
            words.push(format!("… {} more …", count - FIRST - LAST));
        }
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn few_are_all_told_and_many_are_not() {
        assert_eq!(listed([7, 8].iter()), "7, 8");
        assert_eq!(listed(0..0), "");
        assert_eq!(listed(1..13), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12");
        assert_eq!(
            listed(1..1_001),
            "1, 2, 3, … 989 more …, 993, 994, 995, 996, 997, 998, 999, 1000"
        );
    }
}

//! Eight bytes at once, as one number: how many of them are plain text, and which digits they are.
//!
//! Most texts and numbers of a line are shorter than that, so that one step settles them and nothing has to be guessed
//! about where they end. The first byte is in the lowest bits, and what is behind the end of the input counts as zero
//! bytes, which are neither text nor digits.
//!
//! The masks below have the highest bit of a byte set where it is what they look for. A byte that is may borrow from or
//! carry into those behind it, so only the first one counts, and only it is used.

/// How many bytes are looked at.
pub(super) const BYTES: usize = 8;

const EACH: u64 = u64::from_le_bytes([1; BYTES]);
const HIGHEST: u64 = 0x80 * EACH;

/// Powers of ten, for as many digits.
pub(super) const POWERS: [u64; BYTES + 1] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// How many of the first eight bytes stand for themselves in a text: ASCII from the blank to the tilde, but quotes and
/// backslashes.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> usize {
    let word = word(bytes);
    let below = |least: u8| word.wrapping_sub(u64::from(least) * EACH) & !word;
    let is = |byte: u8| {
        let other = word ^ (u64::from(byte) * EACH);
        other.wrapping_sub(EACH) & !other
    };
    first(below(b' ') | is(b'"') | is(b'\\') | is(0x7f) | word)
}

/// How many digits the bytes begin with, at most eight, and what those say.
#[inline]
pub(super) fn digits(bytes: &[u8]) -> (usize, u64) {
    let word = word(bytes) ^ (u64::from(b'0') * EACH);
    let digits = first(word.wrapping_add((0x80 - 10) * EACH) | word);
    if digits == 0 {
        return (0, 0);
    }
    // To the end, with zeros before them; then twos, fours and all eight become one number.
    let ones = word << (8 * (BYTES - digits));
    let twos = (ones.wrapping_mul(10)).wrapping_add(ones >> 8);
    const TWO: u64 = 0x0000_00ff_0000_00ff;
    let early = (twos & TWO).wrapping_mul(100 + (1_000_000 << 32));
    let late = (twos >> 16 & TWO).wrapping_mul(1 + (10_000 << 32));
    (digits, early.wrapping_add(late) >> 32)
}

/// The place of the first byte that a mask has found, or how many bytes there are.
#[inline]
fn first(mask: u64) -> usize {
    (mask & HIGHEST).trailing_zeros() as usize / 8
}

#[inline]
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place, behind what continues and what ends a run, against one byte after the other.
    #[test]
    fn eight_bytes_are_what_they_are_one_by_one() {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        for filler in [b'0', b'9', b'a', b'/', b':', 0, 0x7f, 0x80, 0xff, b'"', b'\\', b' ', 0x1f] {
            for place in 0..BYTES + 2 {
                for byte in 0..=u8::MAX {
                    for length in place..=BYTES + 2 {
                        let mut bytes = vec![b'5'; place];
                        bytes.push(byte);
                        bytes.resize(bytes.len().max(length), filler);
                        let run =
                            bytes.iter().take(BYTES).take_while(|byte| is_plain(byte)).count();
                        assert_eq!(plain(&bytes), run, "{bytes:?}");
                        let run: Vec<u8> = bytes
                            .iter()
                            .take(BYTES)
                            .copied()
                            .take_while(u8::is_ascii_digit)
                            .collect();
                        let value =
                            run.iter().fold(0, |sum, digit| 10 * sum + u64::from(digit - b'0'));
                        assert_eq!(digits(&bytes), (run.len(), value), "{bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn digits_keep_their_order() {
        assert_eq!(digits(b"12345678"), (8, 12_345_678));
        assert_eq!(digits(b"9071,"), (4, 9_071));
        assert_eq!(digits(b""), (0, 0));
    }
}

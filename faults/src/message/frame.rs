//! Where one gRPC message ends and the next begins.
//!
//! In the data of a call each message is a byte that says whether it is compressed, four bytes of length (big
//! endian), and so many bytes. Nothing else of gRPC is looked at, and nothing of what the bytes mean. A
//! message longer than [`LONGEST`] is no unit: its bytes are passed on as they come, and so is data that is no gRPC.

use bytes::{Bytes, BytesMut};

/// The longest message, in bytes, that is held together: more than a whole one is never kept.
pub(super) const LONGEST: usize = 1 << 20;
/// The compression flag and the length.
const PREFIX: usize = 5;

/// What comes out of a [`Framer`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// One message, with its prefix.
    Message(Bytes),
    /// Bytes that are no unit.
    Part(Bytes),
}

/// Cuts data into messages. No byte is lost: the pieces, in order, are the data.
#[derive(Debug, Default)]
pub(super) struct Framer {
    buffer: BytesMut,
    /// Bytes to come of a message that is too long.
    passing: usize,
    /// Nothing here is gRPC.
    raw: bool,
}

impl Framer {
    /// For the data of a call with these headers.
    pub(super) fn of(headers: &http::HeaderMap) -> Self {
        let kind = headers.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let raw = !kind.is_some_and(|kind| kind.starts_with(b"application/grpc"));
        Self { raw, ..Self::default() }
    }

    /// Takes data in.
    pub(super) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next piece, if one is complete.
    pub(super) fn next(&mut self) -> Option<Piece> {
        if self.raw || self.passing > 0 {
            let all = self.buffer.len();
            let length = if self.raw { all } else { self.passing.min(all) };
            self.passing = self.passing.saturating_sub(length);
            return (length > 0).then(|| Piece::Part(self.buffer.split_to(length).freeze()));
        }
        let length: [u8; 4] = self.buffer.get(1..PREFIX)?.try_into().ok()?;
        let whole = PREFIX + usize::try_from(u32::from_be_bytes(length)).ok()?;
        if whole > LONGEST {
            self.passing = whole;
            return self.next();
        }
        (self.buffer.len() >= whole).then(|| Piece::Message(self.buffer.split_to(whole).freeze()))
    }

    /// What is left when the data has ended within a message.
    pub(super) fn rest(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn grpc() -> Framer {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/grpc+proto".parse().unwrap());
        Framer::of(&headers)
    }

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        bytes.extend((0..length).map(|at| u8::try_from(at % 251).unwrap()));
        bytes
    }

    #[test]
    fn messages_come_out_whole_however_the_data_is_sliced() {
        let lengths = [0, 1, 300, LONGEST + 7, 2, LONGEST - 5];
        let data: Vec<u8> = lengths.iter().flat_map(|&length| message(length)).collect();
        for slice in [1, 3, 16_384, data.len()] {
            let (mut framer, mut all, mut whole) = (grpc(), Vec::new(), Vec::new());
            for part in data.chunks(slice) {
                framer.push(part);
                while let Some(piece) = framer.next() {
                    let (Piece::Message(bytes) | Piece::Part(bytes)) = &piece;
                    all.extend_from_slice(bytes);
                    if let Piece::Message(bytes) = piece {
                        whole.push(bytes.len() - PREFIX);
                    }
                }
            }
            assert!(all == data, "slices of {slice}");
            assert_eq!(whole, [0, 1, 300, 2, LONGEST - 5], "slices of {slice}");
            assert!(framer.rest().is_empty());
        }
    }

    #[test]
    fn what_is_cut_off_and_what_is_no_grpc_is_passed_on_as_it_is() {
        let mut framer = grpc();
        framer.push(&message(10)[..8]);
        assert_eq!(framer.next(), None);
        assert_eq!(framer.rest(), message(10)[..8]);
        let mut raw = Framer::of(&HeaderMap::new());
        raw.push(b"abc");
        assert_eq!(raw.next(), Some(Piece::Part(Bytes::from_static(b"abc"))));
    }
}

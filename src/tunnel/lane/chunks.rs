//! Bytes that wait to be sent: small pieces are put together, big ones are kept as they are.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

/// Pieces up to this length are copied; a longer one keeps its memory. Otherwise a few bytes could hold a big piece of memory.
const COPIED: usize = 16 * 1024;
/// The most memory that is taken at a time for small pieces, ahead of need.
const TAIL: usize = 32 * 1024;

/// A queue of bytes.
#[derive(Debug, Default)]
pub struct Chunks {
    whole: VecDeque<Bytes>,
    tail: BytesMut,
    length: usize,
}

impl Chunks {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends a copy.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.close_tail();
            // As much again as there is: a few bytes take little memory, many are put together.
            let ahead = (2 * self.length).clamp(256, TAIL);
            self.tail = BytesMut::with_capacity(bytes.len().max(ahead));
        }
        self.tail.extend_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Appends.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() <= COPIED {
            self.extend(&bytes);
            return;
        }
        self.close_tail();
        self.length += bytes.len();
        self.whole.push_back(bytes);
    }

    /// Puts bytes back to the front.
    pub fn push_front(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        self.whole.push_front(bytes);
    }

    /// Takes the first piece, at most so long.
    pub fn pop(&mut self, most: usize) -> Option<Bytes> {
        if self.whole.is_empty() {
            self.close_tail();
        }
        let first = self.whole.front_mut()?;
        let taken = if first.len() <= most {
            self.whole.pop_front()?
        } else {
            first.split_to(most)
        };
        self.length -= taken.len();
        if self.length == 0 {
            self.tail = BytesMut::new();
        }
        Some(taken)
    }

    /// Forgets the first bytes.
    pub fn advance(&mut self, mut count: usize) {
        debug_assert!(count <= self.length);
        if self.whole.is_empty() {
            self.close_tail();
        }
        while let Some(first) = self.whole.front_mut().filter(|_| count > 0) {
            let part = first.len().min(count);
            self.length -= part;
            count -= part;
            if part == first.len() {
                self.whole.pop_front();
            } else {
                first.advance(part);
            }
            if self.whole.is_empty() {
                self.close_tail();
            }
        }
    }

    /// What was appended in small pieces becomes one.
    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.whole.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Extend(Vec<u8>),
        Push(Vec<u8>),
        Pop(usize),
        Advance(usize),
        Back(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = || {
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..50),
                (any::<u8>(), 10_000..40_000_usize).prop_map(|(byte, count)| vec![byte; count]),
            ]
        };
        prop_oneof![
            bytes().prop_map(Step::Extend),
            bytes().prop_map(Step::Push),
            (1..6000_usize).prop_map(Step::Pop),
            (0..6000_usize).prop_map(Step::Advance),
            (1..6000_usize).prop_map(Step::Back),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn it_is_a_queue_of_bytes(steps in prop::collection::vec(step(), 0..40)) {
            let mut chunks = Chunks::default();
            let mut model: VecDeque<u8> = VecDeque::new();
            for step in steps {
                match step {
                    Step::Extend(bytes) => {
                        chunks.extend(&bytes);
                        model.extend(&bytes);
                    }
                    Step::Push(bytes) => {
                        model.extend(&bytes);
                        chunks.push(bytes.into());
                    }
                    Step::Pop(most) => match chunks.pop(most) {
                        Some(taken) => {
                            prop_assert!(!taken.is_empty() && taken.len() <= most);
                            let expected: Vec<u8> = model.drain(..taken.len()).collect();
                            prop_assert_eq!(&taken[..], &expected[..]);
                        }
                        None => prop_assert!(model.is_empty()),
                    },
                    Step::Advance(count) => {
                        let count = count.min(chunks.len());
                        chunks.advance(count);
                        model.drain(..count);
                    }
                    Step::Back(most) => {
                        if let Some(taken) = chunks.pop(most) {
                            chunks.push_front(taken);
                        }
                    }
                }
                prop_assert_eq!(chunks.len(), model.len());
            }
        }
    }
}

//! gzip whose bytes depend on the content alone.

use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

/// Compressors see the content in blocks of this size. What they make of it depends on where it is cut, so the cuts must
/// not depend on who writes it how.
const BLOCK: usize = 1 << 18;

/// Compresses what is written to it.
pub(super) struct Gzip<W: Write> {
    encoder: GzEncoder<W>,
    block: Vec<u8>,
}

impl<W: Write> Gzip<W> {
    /// No name, no time and no operating system in the header. The fastest level: a registry is near, and what is waited for
    /// is the compressor.
    pub(super) fn new(out: W) -> Self {
        Self {
            encoder: GzBuilder::new()
                .mtime(0)
                .operating_system(255)
                .write(out, Compression::fast()),
            block: Vec::with_capacity(BLOCK),
        }
    }

    /// Writes what is left and gives the inner writer back.
    pub(super) fn finish(mut self) -> std::io::Result<W> {
        self.encoder.write_all(&self.block)?;
        self.encoder.finish()
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.encoder.write_all(&self.block)?;
            self.block.clear();
        }
        Ok(taken)
    }

    /// Does nothing: a flush in the middle would be a cut.
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]

        #[test]
        fn the_cuts_of_the_writer_do_not_show(seed: u32, cuts in prop::collection::vec(1usize..200_000, 1..9)) {
            // Neither constant nor random, so that there is something to compress.
            let content: Vec<u8> = (0..700_000u32)
                .map(|at| (at.wrapping_mul(seed | 1) >> 13).to_le_bytes()[0] & 15)
                .collect();
            let mut whole = Gzip::new(Vec::new());
            whole.write_all(&content).unwrap();
            let whole = whole.finish().unwrap();
            let mut parts = Gzip::new(Vec::new());
            let mut rest = content.as_slice();
            for cut in cuts.iter().cycle() {
                let (part, more) = rest.split_at((*cut).min(rest.len()));
                parts.write_all(part).unwrap();
                parts.flush().unwrap();
                rest = more;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(parts.finish().unwrap() == whole);
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(whole.as_slice()).read_to_end(&mut back).unwrap();
            prop_assert!(back == content);
        }
    }
}

//! The chunks of a body without a length (RFC 9112 §7.1).

use crate::Outcome;

/// Where in its chunks a body is.
#[derive(Debug)]
pub(super) enum Chunks {
    /// In the line with the size of the next chunk, of which so much was read.
    Size(usize),
    /// So many bytes before the end of a chunk.
    Data(usize),
    /// In the line break behind a chunk.
    Break,
    /// Behind the last chunk.
    Over,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self::Size(0)
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Leaves what the chunks carry at the start of `bytes` and returns how many bytes that are.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Outcome<usize> {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            if let Self::Data(left) = *self {
                let n = left.min(bytes.len() - from);
                bytes.copy_within(from..from + n, to);
                (from, to) = (from + n, to + n);
                *self = if n == left {
                    Self::Break
                } else {
                    Self::Data(left - n)
                };
            } else {
                self.step(bytes[from])?;
                from += 1;
            }
        }
        Ok(to)
    }

    /// Takes a byte that is no data.
    fn step(&mut self, byte: u8) -> Outcome<()> {
        *self = match (&*self, byte) {
            (Self::Over, _) => Self::Over,
            (Self::Break, b'\n') => Self::Size(0),
            (Self::Size(0), b'\n') => Self::Over,
            (Self::Size(size), b'\n') => Self::Data(*size),
            (Self::Break, b'\r') => Self::Break,
            (Self::Size(size), b'\r') => Self::Size(*size),
            (Self::Size(size), digit) => Self::Size(size * 16 + digit_of(digit)?),
            _ => return Err("a chunk does not end where it says".into()),
        };
        Ok(())
    }
}

fn digit_of(byte: u8) -> Outcome<usize> {
    let digit = char::from(byte).to_digit(16);
    Ok(digit.ok_or("the size of a chunk is no number")? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let body = b"5\r\nhello\r\n10\r\n, chunked world!\r\n0\r\n\r\n";
        for cut in 0..=body.len() {
            let mut chunks = Chunks::new();
            let mut text = Vec::new();
            for piece in [&body[..cut], &body[cut..]] {
                let mut piece = piece.to_vec();
                let n = chunks.decode(&mut piece).unwrap();
                text.extend_from_slice(&piece[..n]);
            }
            assert_eq!(text, b"hello, chunked world!", "cut at {cut}");
            assert!(chunks.is_over());
        }
    }

    #[test]
    fn a_chunk_that_is_too_long_is_noticed() {
        assert!(Chunks::new().decode(&mut b"2\r\nabc\r\n".to_vec()).is_err());
    }
}

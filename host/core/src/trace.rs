//! The trace context of a record, as W3C Trace Context writes it.

use bytes::Bytes;

#[cfg(test)]
mod tests;

/// A `traceparent`: the trace that a record belongs to, and the span that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The whole trace.
    pub trace_id: [u8; 16],
    /// The span that is the parent of whatever comes next.
    pub parent: [u8; 8],
    /// The trace flags; the lowest bit says that the trace is recorded.
    pub flags: u8,
}

impl TraceParent {
    /// Reads a `traceparent`; `None` where it is not valid, and a receiver must take no notice of it.
    ///
    /// Version 00 has exactly four fields. A higher version may have more of them, and is read as if it were 00.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (fields, rest) = value.split_first_chunk::<55>()?;
        let version = hex::<1>(&fields[0..2])?[0];
        if version == 0xff || (version == 0 && !rest.is_empty()) || rest.first().is_some_and(|&byte| byte != b'-') {
            return None;
        }
        if [fields[2], fields[35], fields[52]] != [b'-'; 3] {
            return None;
        }
        let trace_id = hex(&fields[3..35])?;
        let parent = hex(&fields[36..52])?;
        let flags = hex::<1>(&fields[53..55])?[0];
        (trace_id != [0; 16] && parent != [0; 8]).then_some(Self { trace_id, parent, flags })
    }

    /// The same trace with another span as the parent.
    pub fn child(self, span: [u8; 8]) -> Self {
        Self { parent: span, ..self }
    }

    /// The text of the header, in version 00.
    pub fn encode(&self) -> Bytes {
        let mut text = Vec::with_capacity(55);
        text.extend_from_slice(b"00-");
        push_hex(&mut text, &self.trace_id);
        text.push(b'-');
        push_hex(&mut text, &self.parent);
        text.push(b'-');
        push_hex(&mut text, &[self.flags]);
        text.into()
    }
}

/// Bytes from lowercase hexadecimal digits: the specification refuses others.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

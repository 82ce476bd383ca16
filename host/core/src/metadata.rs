//! What a commit says besides its offset: which records above it have ended.
//!
//! The text is `callgate/1:` and base64 (no padding) of: the form of the payload (1 byte), the topic's id (16), the
//! commit's sequence number (8), its offset (8), the payload, and a CRC-32 of all that (4); numbers are big-endian.
//! The payload is the shorter of two forms:
//!
//! - gaps: the distance from the commit's offset to each further offset that has not ended, one from another, and
//!   last the distance to one above the highest that has; each a varint (LEB128);
//! - a bitmap: for each offset above the commit's, the lowest bit first, whether it has *not* ended. The padding is
//!   ones.
//!
//! Both become no longer when a record ends: two neighbouring gaps become one, and a bit changes. So what fits while
//! nothing has ended fits in whatever order the records end.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use crate::incomplete::Incomplete;

#[cfg(test)]
mod tests;

/// The longest metadata, in bytes. A broker takes 4,095 by default (`offset.metadata.max.bytes` is 4,096).
pub const MAX_BYTES: usize = 4000;

/// The id of a topic that the broker does not tell, or that has none.
pub const UNKNOWN_TOPIC: [u8; 16] = [0; 16];

const PREFIX: &str = "callgate/1:";
const GAPS: u8 = 0;
const BITMAP: u8 = 1;
const HEAD: usize = 1 + 16 + 8 + 8;
const CHECKSUM: usize = 4;
const MAX_PAYLOAD: usize = (MAX_BYTES - PREFIX.len()) * 3 / 4 - HEAD - CHECKSUM;

/// Which records have ended above a committed offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The offsets below `end` that have not ended, ascending; the first is the committed one. Empty: none has ended.
    incomplete: Vec<i64>,
    /// One above the highest offset that has ended.
    end: i64,
}

impl Ended {
    /// Nothing above the committed offset has ended.
    pub fn none() -> Self {
        Self::default()
    }

    /// Below `end` all have ended but these, which ascend and begin with the committed offset.
    pub(crate) fn new(incomplete: Vec<i64>, end: i64) -> Self {
        if incomplete.is_empty() { Self::none() } else { Self { incomplete, end } }
    }

    /// Whether the record at `offset`, which is not below the committed one, has ended.
    pub fn contains(&self, offset: i64) -> bool {
        offset < self.end && self.incomplete.binary_search(&offset).is_err()
    }

    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    pub(crate) fn into_incomplete(self) -> impl Iterator<Item = i64> {
        self.incomplete.into_iter()
    }
}

/// The metadata of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The topic's id as the broker gave it, or [`UNKNOWN_TOPIC`].
    pub topic_id: [u8; 16],
    /// Counts the commits of the partition, over all assignments.
    pub sequence: u64,
    /// What has ended above the commit's offset.
    pub ended: Ended,
}

impl Metadata {
    /// The text to commit beside `offset`.
    pub fn encode(&self, offset: i64) -> String {
        let (form, payload) = encode_ended(&self.ended);
        let mut raw = Vec::with_capacity(HEAD + payload.len() + CHECKSUM);
        raw.push(form);
        raw.extend_from_slice(&self.topic_id);
        raw.extend_from_slice(&self.sequence.to_be_bytes());
        raw.extend_from_slice(&offset.to_be_bytes());
        raw.extend_from_slice(&payload);
        let checksum = crc32(&raw);
        raw.extend_from_slice(&checksum.to_be_bytes());
        let mut text = String::from(PREFIX);
        BASE64_STANDARD_NO_PAD.encode_string(&raw, &mut text);
        text
    }

    /// Reads the metadata that stands beside a committed offset.
    ///
    /// `None`, and so to be ignored: text of somebody else or of another version, corrupt text, a commit of another
    /// offset (somebody has moved it since), or of a topic that was deleted and made again. [`UNKNOWN_TOPIC`] matches
    /// any.
    pub fn decode(text: &[u8], topic_id: [u8; 16], offset: i64) -> Option<Self> {
        let raw = BASE64_STANDARD_NO_PAD.decode(text.strip_prefix(PREFIX.as_bytes())?).ok()?;
        let (rest, checksum) = raw.split_last_chunk::<CHECKSUM>()?;
        if crc32(rest) != u32::from_be_bytes(*checksum) {
            return None;
        }
        let (&form, rest) = rest.split_first()?;
        let (written_id, rest) = rest.split_first_chunk::<16>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (base, payload) = rest.split_first_chunk::<8>()?;
        if i64::from_be_bytes(*base) != offset || differ(*written_id, topic_id) {
            return None;
        }
        let ended = match form {
            _ if payload.is_empty() => Ended::none(),
            GAPS => decode_gaps(payload, offset)?,
            BITMAP => decode_bitmap(payload, offset)?,
            _ => return None,
        };
        Some(Self { topic_id: *written_id, sequence: u64::from_be_bytes(*sequence), ended })
    }

    /// Whether it was committed for another topic than the one with this id: an earlier one of the same name. To be
    /// asked of metadata that was decoded without an id.
    pub fn is_of_another_topic(&self, topic_id: [u8; 16]) -> bool {
        differ(self.topic_id, topic_id)
    }
}

/// Whether both ids are known and not the same.
fn differ(one: [u8; 16], other: [u8; 16]) -> bool {
    let known = |id| id != UNKNOWN_TOPIC;
    known(one) && known(other) && one != other
}

/// Whether the metadata will hold these offsets and `offset`, which is above them, in whatever order they end.
pub(crate) fn fits(incomplete: &Incomplete, offset: i64) -> bool {
    let base = incomplete.first().unwrap_or(offset);
    let end = offset + 1;
    // The gaps that are there, the one up to this offset, and the last, which leads to the end.
    let list = incomplete.gaps_len() + incomplete.last().map_or(0, |last| varint_len(offset.abs_diff(last))) + 1;
    bitmap_len(base, end) <= MAX_PAYLOAD || list <= MAX_PAYLOAD
}

fn encode_ended(ended: &Ended) -> (u8, Vec<u8>) {
    let Some(&base) = ended.incomplete.first() else {
        return (GAPS, Vec::new());
    };
    let mut list = Vec::new();
    for gap in gaps(ended.incomplete.iter().copied(), ended.end) {
        push_varint(&mut list, gap);
    }
    let len = bitmap_len(base, ended.end);
    if list.len() <= len {
        return (GAPS, list);
    }
    let mut bits = vec![0; len];
    let padding = base + 1 + 8 * len as i64;
    for unended in ended.incomplete.iter().skip(1).copied().chain(ended.end..padding) {
        let bit = (unended - base - 1) as usize;
        bits[bit / 8] |= 1 << (bit % 8);
    }
    (BITMAP, bits)
}

fn decode_gaps(mut payload: &[u8], base: i64) -> Option<Ended> {
    let mut offsets = vec![base];
    let mut last = base;
    while !payload.is_empty() {
        let gap = i64::try_from(take_varint(&mut payload)?).ok().filter(|&gap| gap > 0)?;
        last = last.checked_add(gap)?;
        offsets.push(last);
    }
    let end = offsets.pop()?;
    Some(Ended::new(offsets, end))
}

fn decode_bitmap(payload: &[u8], base: i64) -> Option<Ended> {
    let bits = i64::try_from(payload.len()).ok()?.checked_mul(8)?;
    base.checked_add(bits)?.checked_add(1)?;
    let unended = |bit: &i64| payload[(*bit / 8) as usize] & (1 << (*bit % 8)) != 0;
    let highest = (0..bits).rev().find(|bit| !unended(bit))?;
    let incomplete = [base].into_iter().chain((0..highest).filter(unended).map(|bit| base + 1 + bit)).collect();
    Some(Ended::new(incomplete, base + 1 + highest + 1))
}

/// The distances between ascending offsets, and from the last of them to `end`.
fn gaps(offsets: impl Iterator<Item = i64>, end: i64) -> impl Iterator<Item = u64> {
    let mut last = None;
    offsets.chain([end]).filter_map(move |offset| Some(offset.abs_diff(last.replace(offset)?)))
}

/// Bytes of a bitmap of the offsets above `base` and below `end`.
fn bitmap_len(base: i64, end: i64) -> usize {
    (base + 1).abs_diff(end).div_ceil(8) as usize
}

pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// CRC-32 as in zlib and PNG (ISO 3309), bit by bit: a commit a second needs no table.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

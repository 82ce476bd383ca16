//! The records of the source topic: what the handler answers to each, and what must come of it.

use bytes::Bytes;
use callgate_core::failure::{Failure, Reason};
use http::Response;

use super::chance::Chance;

/// Calls for one record.
pub(crate) const ATTEMPTS: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// 200.
    Success,
    /// 503 so many times, which are fewer than are tried, and then 200.
    SuccessAfter(u32),
    /// 404.
    NotFound,
    /// 503 for ever.
    Failure,
    /// It traps.
    Trap,
}

#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) offset: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) answers: Answers,
    /// Whether somebody waits for a reply.
    pub(crate) asks: bool,
}

impl Source {
    /// What the handler answers to call number `attempt`.
    pub(crate) fn call(&self, attempt: u32) -> Result<Response<Bytes>, Failure> {
        let status = match self.answers {
            Answers::Success => 200,
            Answers::SuccessAfter(failures) if attempt > failures => 200,
            Answers::SuccessAfter(_) | Answers::Failure => 503,
            Answers::NotFound => 404,
            Answers::Trap => return Err(Failure::new(Reason::Trap, "unreachable")),
        };
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status.try_into().expect("a status");
        Ok(response)
    }

    /// Whether a reply must come of it, and whether a dead letter: the table of outcomes, told a second time.
    pub(crate) fn must_become(&self) -> (bool, bool) {
        match self.answers {
            Answers::Success | Answers::SuccessAfter(_) => (self.asks, false),
            Answers::NotFound => (self.asks, !self.asks),
            Answers::Failure | Answers::Trap => (self.asks, true),
        }
    }
}

/// A partition's records. Compaction and the markers of transactions leave gaps.
pub(crate) fn partition(chance: &mut Chance, records: usize, keys: usize) -> Vec<Source> {
    let (gaps, troubles) = (chance.pick(&[0, 3, 10]), chance.pick(&[2, 4, 10]));
    let mut offset = 0;
    (0..records)
        .map(|_| {
            offset += if chance.one_in(gaps) { chance.between(2, 40) as i64 } else { 1 };
            let trouble = [
                Answers::SuccessAfter(1),
                Answers::SuccessAfter(2),
                Answers::NotFound,
                Answers::Failure,
                Answers::Trap,
            ];
            Source {
                offset,
                key: (!chance.one_in(5)).then(|| Bytes::from(vec![chance.below(keys) as u8])),
                answers: if chance.one_in(troubles) { chance.pick(&trouble) } else { Answers::Success },
                asks: !chance.one_in(4),
            }
        })
        .collect()
}

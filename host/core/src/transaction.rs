//! What to do after a transaction was aborted, and whether one in doubt has counted.
//!
//! A transaction holds outcomes in their order, each with the records that it consists of: none, a reply, or a dead
//! letter and an answer. Aborted, it is written again without a second call, minus what is at fault.

use crate::metadata::{Metadata, UNKNOWN_TOPIC};
use crate::offsets::Commit;

#[cfg(test)]
mod tests;

/// What is known of one record of a transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing speaks against it: it had arrived, or was withdrawn with the others.
    Sound,
    /// The broker refused the batch that held it, for its own sake or for a neighbour's.
    Suspect,
    /// The broker refused it for where it goes: no neighbour can be the cause.
    Guilty,
}

/// One record of an aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The outcome that it belongs to, counted from the first of the transaction; ascending.
    pub outcome: usize,
    /// What is known of it.
    pub fate: Fate,
}

/// What the next transaction must do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Nothing: it was time, transport or a fence, so all is written again.
    Nobody,
    /// These records, by their place in the transaction: they can never be written as they are.
    Records(Vec<usize>),
    /// One of them it is, and nobody knows which: the next transaction takes so many outcomes and no more.
    AmongFirst(usize),
}

/// Who is to blame for an abort. `refused`: the broker refused the transaction for what is in it, and named nobody.
///
/// What is guilty is named at once. Among suspects, and where nobody is named, the first half is written next: it counts,
/// or the blame is on fewer, until one record is left. An answer is blamed before the dead letter that it goes with,
/// since that must not be lost.
pub fn blame(written: &[Written], refused: bool) -> Blame {
    let with = |fate| (0..written.len()).filter(move |&place| written[place].fate == fate).collect::<Vec<_>>();
    let guilty = with(Fate::Guilty);
    if !guilty.is_empty() {
        return Blame::Records(guilty);
    }
    let suspects = if refused { (0..written.len()).collect() } else { with(Fate::Suspect) };
    let Some(&last) = suspects.last() else { return Blame::Nobody };
    let mut outcomes: Vec<usize> = suspects.iter().map(|&place| written[place].outcome).collect();
    outcomes.dedup();
    if outcomes.len() == 1 {
        return Blame::Records(vec![last]);
    }
    Blame::AmongFirst(outcomes[outcomes.len() / 2 - 1] + 1)
}

/// Whether a transaction in doubt has counted: what it would have committed for one of its partitions, against what the
/// group has committed there now, with no transaction open any more. Each commit of a partition has a higher sequence
/// number than those before it.
pub fn has_counted(commit: &Commit, committed: Option<(i64, &str)>) -> bool {
    let sequence =
        |offset, text: &str| Metadata::decode(text.as_bytes(), UNKNOWN_TOPIC, offset).map(|metadata| metadata.sequence);
    let ours = sequence(commit.offset, &commit.metadata);
    let there = committed.and_then(|(offset, text)| sequence(offset, text));
    there.is_some() && there >= ours
}

//! States what must hold, from what the broker has and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use callgate_core::metadata::{Metadata, UNKNOWN_TOPIC};
use callgate_core::order::Ordering;

use super::source::Source;

/// What was broken, with the record.
pub(crate) type Verdict = Result<(), String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Reply,
    DeadLetter,
}

struct Fate {
    source: Source,
    replies: u32,
    dead_letters: u32,
    /// Its answer was dropped, as it should.
    done: bool,
    /// A commit that counted has said that it has ended.
    sealed: bool,
}

impl Fate {
    fn has_ended(&self) -> bool {
        match self.source.must_become() {
            (false, false) => self.done,
            (reply, dead_letter) => (!reply || self.replies > 0) && (!dead_letter || self.dead_letters > 0),
        }
    }
}

pub(crate) struct Judge {
    ordering: Ordering,
    fates: Vec<BTreeMap<i64, Fate>>,
    /// The highest offset of a lane that has come out, and how.
    latest: HashMap<(End, usize, Option<Bytes>), i64>,
}

impl Judge {
    pub(crate) fn new(ordering: Ordering, log: &[Vec<Source>]) -> Self {
        let fate = |source: &Source| {
            (source.offset, Fate { source: source.clone(), replies: 0, dead_letters: 0, done: false, sealed: false })
        };
        Self {
            ordering,
            fates: log.iter().map(|partition| partition.iter().map(fate).collect()).collect(),
            latest: HashMap::new(),
        }
    }

    fn fate(&mut self, partition: usize, offset: i64) -> &mut Fate {
        self.fates[partition].get_mut(&offset).expect("only records are begun")
    }

    /// What commits that counted have said of a partition so far: whoever takes it up must not do that again.
    pub(crate) fn sealed(&self, partition: usize) -> BTreeSet<i64> {
        self.fates[partition].iter().filter(|(_, fate)| fate.sealed).map(|(&offset, _)| offset).collect()
    }

    /// Nothing is to be written for it.
    pub(crate) fn done(&mut self, partition: usize, offset: i64) {
        self.fate(partition, offset).done = true;
    }

    /// The broker has a record more.
    pub(crate) fn written(&mut self, partition: usize, offset: i64, end: End) -> Verdict {
        let ordering = self.ordering;
        let fate = self.fate(partition, offset);
        let (reply, dead_letter) = fate.source.must_become();
        if !match end {
            End::Reply => reply,
            End::DeadLetter => dead_letter,
        } {
            return Err(format!("I2: {partition}/{offset} became a {end:?}: {:?}", fate.source));
        }
        if end == End::Reply && dead_letter && fate.dead_letters == 0 {
            return Err(format!("{partition}/{offset} was answered before its dead letter was written"));
        }
        let times = match end {
            End::Reply => &mut fate.replies,
            End::DeadLetter => &mut fate.dead_letters,
        };
        *times += 1;
        if *times > 1 {
            return Ok(());
        }
        let lane = match ordering {
            Ordering::Partition => None,
            Ordering::Key if fate.source.key.is_some() => fate.source.key.clone(),
            Ordering::Key | Ordering::Unordered => return Ok(()),
        };
        let latest = self.latest.entry((end, partition, lane)).or_insert(offset);
        if *latest > offset {
            return Err(format!("I3: the {end:?} of {partition}/{offset} came after that of {latest}"));
        }
        *latest = offset;
        Ok(())
    }

    /// The broker has taken a commit. `known` are the offsets whose ends the host knew of.
    pub(crate) fn committed(&mut self, partition: usize, offset: i64, metadata: &str, known: &[i64]) -> Verdict {
        let ended = Metadata::decode(metadata.as_bytes(), UNKNOWN_TOPIC, offset).map(|known| known.ended);
        for (&at, fate) in &self.fates[partition] {
            let covered = at < offset || ended.as_ref().is_some_and(|ended| ended.contains(at));
            if covered && !fate.has_ended() {
                return Err(format!(
                    "I1, I5: {partition}/{at} is committed ({offset}) and has not ended: {:?}",
                    fate.source
                ));
            }
        }
        for known in known {
            self.fate(partition, *known).sealed = true;
        }
        Ok(())
    }

    /// All is quiet.
    pub(crate) fn finally(&self, committed: &[i64]) -> Verdict {
        for (partition, fates) in self.fates.iter().enumerate() {
            if let Some((offset, fate)) = fates.iter().find(|(_, fate)| !fate.has_ended()) {
                return Err(format!("I1: {partition}/{offset} has not ended: {:?}", fate.source));
            }
            let end = fates.keys().next_back().map_or(0, |last| last + 1);
            if committed[partition] != end {
                return Err(format!(
                    "I4: partition {partition} is committed up to {}, not {end}",
                    committed[partition]
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn is_complete(&self, committed: &[i64]) -> bool {
        self.finally(committed).is_ok()
    }
}

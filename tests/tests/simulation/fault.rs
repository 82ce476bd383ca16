//! Faults that are planted, to see whether the simulation would find them.

/// Each is a defect that a host could have, most of them seen in others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A record ends when its reply is handed to the producer, not when it is acknowledged.
    CommitEarly,
    /// What was revoked is worked on, and committed, as before.
    NoFence,
    /// What waits when a partition is revoked counts as done.
    SkipAtRebalance,
    /// The lane goes on while a record waits for its next attempt.
    RetryLosesPlace,
    /// A dead letter that cannot be written ends its record all the same.
    IgnoreFailedDeadLetter,
    /// The answer beside a dead letter ends a record once more, and that is another one.
    EndTwice,
    /// One above the highest record that has ended is committed.
    CommitAboveGap,
    /// Commits say nothing of what has ended above their offset.
    LoseMetadata,
    /// What commits say of it is not read.
    IgnoreMetadata,
    /// Offset and metadata are of two moments.
    MetadataOfAnotherMoment,
    /// Records of a key do not wait for one another.
    WrongLane,
    /// A commit is still on its way when the partition is given up, and arrives later.
    CommitAfterRevoke,
    /// The lane does not wait until a dead letter is acknowledged.
    LaneRunsAhead,
    /// A new owner begins one record too late.
    SkipFirst,
    /// What is fenced is still written.
    ProduceAfterFence,
    /// The answer goes out before the dead letter is acknowledged.
    AnswerFirst,
    /// One attempt too few.
    MiscountAttempts,
    /// Nobody is told of a dead letter.
    DropAnswer,
    /// Intake is not bounded.
    NoBounds,
    /// A record that was stopped by a failed dead letter is never tried again.
    NeverResume,
}

impl Fault {
    pub(crate) const ALL: [Self; 20] = [
        Self::CommitEarly,
        Self::NoFence,
        Self::SkipAtRebalance,
        Self::RetryLosesPlace,
        Self::IgnoreFailedDeadLetter,
        Self::EndTwice,
        Self::CommitAboveGap,
        Self::LoseMetadata,
        Self::IgnoreMetadata,
        Self::MetadataOfAnotherMoment,
        Self::WrongLane,
        Self::CommitAfterRevoke,
        Self::LaneRunsAhead,
        Self::SkipFirst,
        Self::ProduceAfterFence,
        Self::AnswerFirst,
        Self::MiscountAttempts,
        Self::DropAnswer,
        Self::NoBounds,
        Self::NeverResume,
    ];
}

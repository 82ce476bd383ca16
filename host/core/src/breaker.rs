//! The circuit breaker of a route: a handler that fails at nearly everything is kept from draining its topic into dead
//! letters (the pattern of Nygard's *Release It!*, with its three states).
//!
//! It counts how records end, not calls. While it is closed, every record may be called. It opens when too large a share
//! of the records that ended within the window were dead letters, or too many of them came in a row. While it is open,
//! none is called: they wait, uncommitted. After the pause a few records are tried; how they end closes it or opens it
//! again.

use std::time::Duration;

mod window;

use window::Window;

#[cfg(test)]
mod tests;

/// How many records are tried after a pause; fewer where the policy decides upon fewer.
const TRIALS: u32 = 10;

/// Before somebody asks again who was told to wait for an operator.
const LONG: Duration = Duration::from_secs(3600);

/// When a breaker opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerPolicy {
    /// It opens where at least this share of the records that ended within the window were dead letters.
    pub share: f64,
    /// The share counts from so many records on.
    pub min_records: u32,
    /// It also opens after so many dead letters in a row, however long they took.
    pub run: Option<u32>,
    /// How far back the share looks.
    pub window: Duration,
    /// After so long a few records are tried. `None`: only [`Breaker::close`], and so the operator, closes it.
    pub pause: Option<Duration>,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            share: 0.9,
            min_records: 500,
            run: None,
            window: Duration::from_secs(60),
            pause: Some(Duration::from_secs(30)),
        }
    }
}

/// Leave to call the handler for one record. It counts as long as the breaker has not changed its state since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass(u64);

/// What the end of a record has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// No record is called any more: so many of the last so many were dead letters.
    Opened {
        /// Dead letters.
        dead: u32,
        /// Of so many records that have ended.
        of: u32,
    },
    /// Records are called again.
    Closed,
}

/// A breaker as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Records are called.
    Closed,
    /// None is called.
    Open,
    /// A few are called, to see how they end.
    HalfOpen,
}

#[derive(Debug)]
enum State {
    Closed { window: Window, run: u32 },
    Open { since: Duration },
    HalfOpen { passes: u32, last_pass: Duration, dead: u32, ended: u32 },
}

/// See the module. Every `now` is the time since one moment that the caller chooses, and does not go back.
#[derive(Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: State,
    /// Numbers the states it was in, so that what began in another one does not count.
    round: u64,
}

impl Breaker {
    /// A closed one.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: State::Closed { window: Window::new(policy.window), run: 0 }, round: 0 }
    }

    /// Asks for leave to call the handler for a record, at each attempt; `pass` is what the record was given before.
    ///
    /// # Errors
    /// No leave now: when to ask again.
    pub fn admit(&mut self, now: Duration, pass: Option<Pass>) -> Result<Pass, Duration> {
        let (patience, trials) = (self.policy.pause.unwrap_or(LONG), self.trials());
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { since } => {
                let waited = now.saturating_sub(*since);
                if self.policy.pause.is_none_or(|pause| waited < pause) {
                    return Err(patience.saturating_sub(waited));
                }
                self.enter(State::HalfOpen { passes: trials - 1, last_pass: now, dead: 0, ended: 0 });
            }
            State::HalfOpen { .. } if pass == Some(Pass(self.round)) => {}
            State::HalfOpen { passes, last_pass, .. } => {
                if *passes == 0 {
                    // Those that were tried may be on another host by now, or wait for their next attempt.
                    let waited = now.saturating_sub(*last_pass);
                    if waited < patience {
                        return Err(patience - waited);
                    }
                    *passes = trials;
                }
                *passes -= 1;
                *last_pass = now;
            }
        }
        Ok(Pass(self.round))
    }

    /// Counts a record that has ended, as a dead letter or otherwise.
    pub fn ended(&mut self, now: Duration, pass: Pass, is_dead_letter: bool) -> Option<Change> {
        if pass.0 != self.round {
            return None;
        }
        let trials = self.trials();
        let policy = self.policy;
        match &mut self.state {
            State::Open { .. } => None,
            State::Closed { window, run } => {
                window.add(now, is_dead_letter);
                *run = if is_dead_letter { *run + 1 } else { 0 };
                let (run, (dead, of)) = (*run, window.counts());
                let by_share = of >= policy.min_records && policy.is_too_large(dead, of);
                let by_run = policy.run.is_some_and(|most| run >= most);
                (by_share || by_run).then(|| {
                    self.enter(State::Open { since: now });
                    if by_share { Change::Opened { dead, of } } else { Change::Opened { dead: run, of: run } }
                })
            }
            State::HalfOpen { dead, ended, .. } => {
                *ended += 1;
                *dead += u32::from(is_dead_letter);
                let (dead, of) = (*dead, *ended);
                if of < trials {
                    return None;
                }
                if policy.is_too_large(dead, of) {
                    self.enter(State::Open { since: now });
                    return Some(Change::Opened { dead, of });
                }
                self.close();
                Some(Change::Closed)
            }
        }
    }

    /// Closes it: somebody says so. Returns whether it was not closed.
    pub fn close(&mut self) -> bool {
        let was_closed = matches!(self.state, State::Closed { .. });
        self.enter(State::Closed { window: Window::new(self.policy.window), run: 0 });
        !was_closed
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        match self.state {
            State::Closed { .. } => Position::Closed,
            State::Open { .. } => Position::Open,
            State::HalfOpen { .. } => Position::HalfOpen,
        }
    }

    /// What it was made with.
    pub fn policy(&self) -> &BreakerPolicy {
        &self.policy
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.round += 1;
    }

    fn trials(&self) -> u32 {
        let fewest = self.policy.run.unwrap_or(TRIALS).min(self.policy.min_records);
        TRIALS.min(fewest).max(1)
    }
}

impl BreakerPolicy {
    fn is_too_large(&self, dead: u32, of: u32) -> bool {
        dead > 0 && f64::from(dead) >= self.share * f64::from(of)
    }
}

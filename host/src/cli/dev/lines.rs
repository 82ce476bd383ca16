//! What a person reads: the address, the routes, and a line for each record.

use std::io::{IsTerminal, Write, stdout};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use callgate_core::dead_letter::dead_letter_topic;
use callgate_core::route::TopicSelector;

use crate::config::HandlerRoute;
use crate::pipeline::{Bound, Ended, Handler, Observer};
use crate::settle::{End, TransactionEnd};

/// Prints on stdout; in colour on a terminal.
pub(super) struct Lines {
    colour: bool,
    // What is said before the first line, which everybody waits for, may be printed.
    early: Mutex<Option<Vec<String>>>,
}

impl Default for Lines {
    fn default() -> Self {
        Self { colour: stdout().is_terminal(), early: Mutex::new(Some(Vec::new())) }
    }
}

impl Lines {
    /// The first line: where the broker is. To be said once handlers and topics are there: whoever reads it begins.
    pub(super) fn welcome(&self, bootstrap: &str) {
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.say(&format!("bootstrap {bootstrap}"));
        early.iter().flatten().for_each(|line| self.say(line));
    }

    /// A version runs: which topic goes to it.
    pub(super) fn runs(&self, bootstrap: &str, handler: &Handler) {
        for HandlerRoute { topics: selector, route, .. } in &handler.routes {
            self.say(&format!("{selector} → {} → {handler} {}", route.operation, handler.version));
            if let TopicSelector::Topic(topic) = selector {
                self.say(&format!("try: callgate call {topic} --bootstrap {bootstrap} --data TEXT"));
            }
        }
    }

    /// A line of its own.
    pub(super) fn say(&self, line: &str) {
        if let Some(early) = &mut *self.early.lock().unwrap_or_else(PoisonError::into_inner) {
            return early.push(line.to_owned());
        }
        // A reader that has gone, such as `head`, is no failure.
        let _ = writeln!(stdout(), "{line}");
    }

    fn paint(&self, text: &str, colour: u8) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const RED: u8 = 31;

impl Observer for Lines {
    fn called(&self, _: &Bound, _: Result<u16, &'static str>, _: Duration) {}

    // The embedded broker's transactions are none.
    fn transaction_ended(&self, _: &str, _: TransactionEnd) {}

    fn ended(&self, ended: &Ended<'_>) {
        let at = &ended.record.coordinate;
        let handler = &ended.bound.handler;
        let calls = match ended.attempts {
            0 => "not called".to_owned(),
            1 => handler.name.to_string(),
            many => format!("{} ({many} calls)", handler.name),
        };
        let status = ended.status.map_or_else(String::new, |status| {
            let colour = match status {
                ..400 => GREEN,
                400..500 => YELLOW,
                _ => RED,
            };
            format!(" → {}", self.paint(&status.to_string(), colour))
        });
        let answer = ended.reply_topic.unwrap_or_default();
        let end = match ended.end {
            End::Replied => format!("reply to {answer}"),
            End::Done => "done, no return address".to_owned(),
            End::DeadLettered { reason, answered } => {
                let letters = dead_letter_topic(&at.topic, &handler.tenant.dead_letter);
                let letter = self.paint(&format!("dead letter to {letters} ({reason})"), RED);
                if answered { format!("{letter}, answer to {answer}") } else { letter }
            }
        };
        self.say(&format!(
            "{}-{}@{} → {calls}{status} → {end}  {:.1} ms",
            at.topic,
            at.partition,
            at.offset,
            ended.took.as_secs_f64() * 1e3
        ));
    }
}

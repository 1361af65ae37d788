//! Where a stream of lines broke off, so that it goes on there.

use k8s_openapi::jiff::Timestamp;

/// The position in the lines of one run of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resume {
    last: Option<Timestamp>,
    /// Lines taken that have the time `last`: several may have the same one.
    at_last: u32,
    /// Of those, how many are still to be skipped after a break.
    skip: u32,
    /// What the node said last in place of lines.
    said: Option<String>,
}

impl Resume {
    /// From when to ask again. In whole seconds, rounded down: the API takes no fractions.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let last = self.last?;
        Timestamp::from_second(last.as_second() - i64::from(last.subsec_nanosecond() < 0)).ok()
    }

    /// Whether what the node says is news.
    pub(super) fn hears(&mut self, text: &str) -> bool {
        let news = self.said.as_deref() != Some(text);
        if news {
            self.said = Some(text.to_owned());
        }
        news
    }

    /// A new connection begins: lines that were taken before will come again.
    pub(super) fn reconnect(&mut self) {
        self.skip = self.at_last;
    }

    /// Whether a line with this time is new. Lines without a time cannot be told apart and are always taken.
    pub(super) fn take(&mut self, time: Option<Timestamp>) -> bool {
        let Some(time) = time else {
            return true;
        };
        match self.last {
            Some(last) if time < last => false,
            Some(last) if time == last => {
                if self.skip > 0 {
                    self.skip -= 1;
                    return false;
                }
                self.at_last += 1;
                true
            }
            _ => {
                self.last = Some(time);
                self.at_last = 1;
                self.skip = 0;
                true
            }
        }
    }
}

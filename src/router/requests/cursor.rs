//! PURE: how far somebody has read, at each router: `~1700000000000000_dev-router-a~1700000000000123`. Nothing in it is
//! escaped in URLs.

use std::collections::BTreeMap;
use std::fmt;

/// Numbers of requests are microseconds since 1970: those of a router that was started again are higher than those before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Where to begin at routers that were not read yet.
    pub others: u64,
    /// The number of the last request that was read, by router.
    pub pods: BTreeMap<String, u64>,
}

impl Cursor {
    /// Reads one; an empty text begins with everything. The error is one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut cursor = Self::default();
        for part in text.split('_').filter(|part| !part.is_empty()) {
            let read = part
                .rsplit_once('~')
                .and_then(|(pod, number)| Some((pod, number.parse().ok()?)));
            match read {
                Some(("", number)) => cursor.others = number,
                Some((pod, number)) => {
                    cursor.pods.insert(pod.to_owned(), number);
                }
                None => return Err(format!("after={text}: expected POD~NUMBER_…")),
            }
        }
        Ok(cursor)
    }

    /// The number after which requests of this router were not read.
    pub fn of(&self, pod: &str) -> u64 {
        self.pods.get(pod).copied().unwrap_or(self.others)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "~{}", self.others)?;
        self.pods
            .iter()
            .try_for_each(|(pod, number)| write!(f, "_{pod}~{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor = Cursor {
            others: 5,
            pods: BTreeMap::from([("a".to_owned(), 7), ("b".to_owned(), 9)]),
        };
        assert_eq!(cursor.to_string(), "~5_a~7_b~9");
        assert_eq!(Cursor::parse("~5_a~7_b~9"), Ok(cursor.clone()));
        assert_eq!((cursor.of("b"), cursor.of("new")), (9, 5));
        assert_eq!(Cursor::parse(""), Ok(Cursor::default()));
        assert!(Cursor::parse("a").is_err());
        assert!(Cursor::parse("a~x").is_err());
    }
}

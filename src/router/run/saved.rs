//! The last table on disk, from which a restarted router serves before it has read the cluster.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use crate::error::{Error, Result};
use crate::router::model::Table;

/// The form of the file. Another one is not read.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct Saved {
    format: u32,
    table: Table,
}

#[derive(Serialize)]
struct Saving<'a> {
    format: u32,
    table: &'a Table,
}

/// The table that was last served for this base, if it can be read.
pub(super) fn load(path: &Path, base: &str) -> Option<Table> {
    let text = std::fs::read(path).ok()?;
    // One of another version, or half of one after a crash of the node: the cluster says it anew.
    let saved: Saved = serde_json::from_slice(&text).ok()?;
    (saved.format == FORMAT && saved.table.base == base).then_some(saved.table)
}

/// Writes a table.
pub(super) fn store(path: &Path, table: &Table) -> Result<()> {
    let saving = Saving {
        format: FORMAT,
        table,
    };
    let text = serde_json::to_vec(&saving)
        .map_err(|cause| Error::failed("cannot write the table as JSON").caused_by(&cause))?;
    files::write(path, &text).map_err(|cause| Error::io("write", path, &cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back_as_it_was_and_only_for_its_base() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        assert_eq!(load(&path, "shop"), None);
        let table = Table {
            base: "shop".into(),
            environments: ["ann".to_owned()].into(),
            ..Table::default()
        };
        store(&path, &table).unwrap();
        assert_eq!(load(&path, "shop"), Some(table));
        assert_eq!(load(&path, "other"), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_as_if_it_were_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        for text in ["", "{", r#"{"format": 2, "table": {"base": "shop"}}"#] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(load(&path, "shop"), None, "{text}");
        }
        assert!(store(&folder.path().join("no/table.json"), &Table::default()).is_err());
    }
}

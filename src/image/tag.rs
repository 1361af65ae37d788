//! The tag of an image: what it is made from, in 12 hexadecimal digits. `docs/design/image-tags.md` has the reasons.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::blob::{hex, to_json};
use super::content::Hash;
use crate::error::Result;

/// Changes whenever `dev` makes another image of the same input, so that old images are not taken for new ones.
const GENERATION: u32 = 1;

/// The files that an image is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// As they are in HEAD: the id of their tree object.
    Git(String),
    /// As they are on the disk.
    Files(Hash),
}

/// `git-<12 hex>` for files as they are in HEAD, `sha-<12 hex>` for others. `settings` is whatever else decides what
/// the image is: the builder and its options.
pub fn tag(content: &Content, settings: &impl Serialize) -> Result<String> {
    let (prefix, files): (&str, &[u8]) = match content {
        Content::Git(tree) => ("git", tree.as_bytes()),
        Content::Files(hash) => ("sha", hash),
    };
    let settings = to_json(settings)?;
    let mut hasher = Sha256::new();
    hasher.update(GENERATION.to_le_bytes());
    for part in [prefix.as_bytes(), files, &settings] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest = hex(&hasher.finalize());
    Ok(format!("{prefix}-{}", &digest[..12]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_settings_both_count() {
        let files = Content::Files([1; 32]);
        let one = tag(&files, &"a").unwrap();
        assert!(one.starts_with("sha-") && one.len() == 16, "{one}");
        assert_eq!(tag(&files, &"a").unwrap(), one);
        assert_ne!(tag(&files, &"b").unwrap(), one);
        assert_ne!(tag(&Content::Files([2; 32]), &"a").unwrap(), one);
        let git = tag(&Content::Git("abc".to_owned()), &"a").unwrap();
        assert!(git.starts_with("git-"), "{git}");
    }
}

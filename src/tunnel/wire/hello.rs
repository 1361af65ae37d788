//! What the two ends say to each other first.
//!
//! HELLO: `dev-tunnel` | u16 oldest version | u16 newest version | JSON. WELCOME and REFUSED: JSON.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::Versions;

const MAGIC: &[u8; 10] = b"dev-tunnel";
/// The longest name that is shown to others.
const LONGEST_NAME: usize = 100;

/// A random number of 128 bits that nobody else has, as 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(String);

impl SessionId {
    /// From 16 random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random)))
    }
}

/// The client's first words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it speaks.
    pub versions: Versions,
    /// The rest.
    pub body: HelloBody,
}

/// What HELLO says after the versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelloBody {
    /// One run of the client.
    pub session: SessionId,
    /// Which of its lanes; a number is used for one lane only.
    pub lane: u64,
    /// Whether the agent has welcomed this lane before.
    pub resume: bool,
    /// How much of the lane has come so far.
    pub received: u64,
    /// Who it is, for others to read: `ann@laptop`.
    pub who: String,
    /// Whether somebody else's session is to end for it.
    #[serde(default)]
    pub take: bool,
    /// The version of the program.
    #[serde(default)]
    pub dev: String,
    /// What it can do beyond the version.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// The agent takes the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// The version that holds from now on.
    pub version: u16,
    /// How much of the lane has come so far.
    pub received: u64,
    /// Whether the lane goes on; else it is new.
    pub resumed: bool,
    /// The version of the program.
    #[serde(default)]
    pub dev: String,
    /// What it can do beyond the version.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// Why an agent does not take a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// No version that both speak.
    Version,
    /// Somebody else has it.
    Taken,
    /// The agent does not know the lane that is to be resumed: it was restarted, or gave the lane up.
    Unknown,
    /// A reason of a later version.
    #[serde(other)]
    Other,
}

/// The agent does not take the client, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// The same for people, should the reason be one of a later version.
    #[serde(default)]
    pub message: String,
    /// Who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// For how many seconds they have had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// What the agent speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<Versions>,
    /// The version of the agent's program.
    #[serde(default)]
    pub dev: String,
}

/// What was said is not of this protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Something else speaks there.
    #[error("the other end does not speak the tunnel's protocol")]
    Magic,
    /// The JSON is wrong.
    #[error("cannot read what the other end says first: {0}")]
    Json(String),
}

impl Hello {
    /// The payload of a HELLO frame.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(MAGIC);
        out.put_u16(self.versions.min);
        out.put_u16(self.versions.max);
        out.put_slice(&json(&self.body));
        out.freeze()
    }

    /// Only the versions, which every client says in the same way: those of a client whose `body` cannot be read can be told.
    ///
    /// # Errors
    /// The magic is missing.
    pub fn versions(payload: &[u8]) -> Result<Versions, HelloError> {
        let mut rest = payload.strip_prefix(MAGIC).ok_or(HelloError::Magic)?;
        if rest.len() < 4 {
            return Err(HelloError::Magic);
        }
        Ok(Versions {
            min: rest.get_u16(),
            max: rest.get_u16(),
        })
    }

    /// From the payload of a HELLO frame.
    ///
    /// # Errors
    /// It is not one.
    pub fn decode(payload: &[u8]) -> Result<Self, HelloError> {
        let versions = Self::versions(payload)?;
        let mut body: HelloBody = read(&payload[MAGIC.len() + 4..])?;
        body.who = printable(&body.who);
        Ok(Self { versions, body })
    }
}

impl Welcome {
    /// The payload of a WELCOME frame.
    pub fn encode(&self) -> Bytes {
        json(self)
    }

    /// From the payload of a WELCOME frame.
    ///
    /// # Errors
    /// It is not one.
    pub fn decode(payload: &[u8]) -> Result<Self, HelloError> {
        read(payload)
    }
}

impl Refused {
    /// The payload of a REFUSED frame.
    pub fn encode(&self) -> Bytes {
        json(self)
    }

    /// From the payload of a REFUSED frame.
    ///
    /// # Errors
    /// It is not one.
    pub fn decode(payload: &[u8]) -> Result<Self, HelloError> {
        let mut refused: Self = read(payload)?;
        refused.message = printable(&refused.message);
        refused.who = refused.who.as_deref().map(printable);
        Ok(refused)
    }
}

fn json(value: &impl Serialize) -> Bytes {
    // Plain structs: nothing in them can fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn read<T: for<'de> Deserialize<'de>>(text: &[u8]) -> Result<T, HelloError> {
    serde_json::from_slice(text).map_err(|error| HelloError::Json(error.to_string()))
}

/// What somebody else wrote, as it may be shown on a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_control())
        .take(LONGEST_NAME)
        .collect()
}

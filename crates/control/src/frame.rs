//! Length-prefixed messages on a stream: four bytes of length, little-endian, then postcard.

use crate::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of the length before each message.
pub const PREFIX_BYTES: usize = 4;

/// A message as it goes out, its length before it.
#[must_use]
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = postcard::to_extend(message, vec![0; PREFIX_BYTES])
        .expect("messages are plain data, which always encodes");
    let length = u32::try_from(bytes.len() - PREFIX_BYTES).expect("messages are bounded");
    bytes[..PREFIX_BYTES].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Reads the next message; none at the end of the stream. Longer than `limit_bytes`, or not a
/// message: an error, after which the connection is of no use.
pub async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    limit_bytes: usize,
) -> Result<Option<T>, Error> {
    let mut prefix = [0; PREFIX_BYTES];
    match stream.read_exact(&mut prefix).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(source) => return Err(lost(source)),
    }
    let refused = || Error::Frame {
        bytes: u64::from(u32::from_le_bytes(prefix)),
        limit_bytes: u64::try_from(limit_bytes).unwrap_or(u64::MAX),
    };
    let length = usize::try_from(u32::from_le_bytes(prefix)).map_err(|_| refused())?;
    if length > limit_bytes {
        return Err(refused());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(lost)?;
    postcard::from_bytes(&bytes).map(Some).map_err(|_| refused())
}

fn lost(source: std::io::Error) -> Error {
    Error::Connection { address: "the peer".to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> Result<Option<String>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut stream = bytes;
        runtime.block_on(read(&mut stream, 16))
    }

    #[test]
    fn a_message_reads_back_and_anything_else_is_refused() {
        let bytes = encode(&"hello".to_owned());
        assert_eq!(bytes, b"\x06\0\0\0\x05hello");
        assert_eq!(read_all(&bytes).expect("whole"), Some("hello".to_owned()));
        assert_eq!(read_all(b"").expect("the end"), None);
        assert!(matches!(read_all(b"\x11\0\0\0"), Err(Error::Frame { bytes: 17, .. })));
        assert!(matches!(read_all(b"\x01\0\0\0\x05"), Err(Error::Frame { bytes: 1, .. })));
        assert!(matches!(read_all(b"\x06\0\0\0\x05"), Err(Error::Connection { .. })));
    }
}

//! The first thing said on every connection. In TLS 1.3 the dialler finishes its handshake before the acceptor has judged the
//! dialler's key, so a connection counts only once the acceptor has answered; and two nodes with different rosters learn it here.

use quinn::{Connection, RecvStream, SendStream};

const MAGIC: [u8; 7] = *b"tacit/1";
const BYTES: usize = MAGIC.len() + 1 + 32;

/// What the dialler wants of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// To be this node's connection.
    Join = 1,
    /// To see whether it would be let in; nothing else that node does is disturbed.
    Probe = 2,
}

/// Why a connection stopped at the hello.
#[derive(Debug)]
pub(crate) enum HelloError {
    /// The connection ended, or its first stream did.
    Lost,
    /// The other end speaks something else.
    Garbage,
    /// The other end has another roster.
    Roster,
}

/// The dialler's side.
pub(crate) async fn offer(connection: &Connection, roster: &[u8; 32], intent: Intent) -> Result<(), HelloError> {
    let (mut send, mut recv) = connection.open_bi().await.map_err(|_| HelloError::Lost)?;
    write(&mut send, roster, intent).await?;
    match read(&mut recv, roster).await? == intent {
        true => Ok(()),
        false => Err(HelloError::Garbage),
    }
}

/// The acceptor's side.
pub(crate) async fn answer(connection: &Connection, roster: &[u8; 32]) -> Result<Intent, HelloError> {
    let (mut send, mut recv) = connection.accept_bi().await.map_err(|_| HelloError::Lost)?;
    let intent = read(&mut recv, roster).await?;
    write(&mut send, roster, intent).await?;
    Ok(intent)
}

async fn write(send: &mut SendStream, roster: &[u8; 32], intent: Intent) -> Result<(), HelloError> {
    send.write_all(&[&MAGIC[..], &[intent as u8], roster].concat()).await.map_err(|_| HelloError::Lost)?;
    // it may have been read and closed by now
    let _ = send.finish();
    Ok(())
}

async fn read(recv: &mut RecvStream, roster: &[u8; 32]) -> Result<Intent, HelloError> {
    let mut bytes = [0; BYTES];
    recv.read_exact(&mut bytes).await.map_err(|_| HelloError::Lost)?;
    let (magic, rest) = bytes.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(HelloError::Garbage);
    }
    let intent = match rest[0] {
        1 => Intent::Join,
        2 => Intent::Probe,
        _ => return Err(HelloError::Garbage),
    };
    match rest[1..] == *roster {
        true => Ok(intent),
        false => Err(HelloError::Roster),
    }
}

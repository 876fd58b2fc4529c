//! The first thing said on every connection. In TLS 1.3 the dialler finishes its handshake before the acceptor has judged the
//! dialler's key, so a connection counts only once the acceptor has answered; and two nodes with different rosters learn it here.

use quinn::{Connection, RecvStream, SendStream};

const MAGIC: [u8; 8] = *b"tacit/1\n";
const BYTES: usize = MAGIC.len() + 32;

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
pub(crate) async fn offer(connection: &Connection, roster: &[u8; 32]) -> Result<(), HelloError> {
    let (mut send, mut recv) = connection.open_bi().await.map_err(|_| HelloError::Lost)?;
    write(&mut send, roster).await?;
    read(&mut recv, roster).await
}

/// The acceptor's side.
pub(crate) async fn answer(connection: &Connection, roster: &[u8; 32]) -> Result<(), HelloError> {
    let (mut send, mut recv) = connection.accept_bi().await.map_err(|_| HelloError::Lost)?;
    read(&mut recv, roster).await?;
    write(&mut send, roster).await
}

async fn write(send: &mut SendStream, roster: &[u8; 32]) -> Result<(), HelloError> {
    send.write_all(&[&MAGIC[..], roster].concat()).await.map_err(|_| HelloError::Lost)?;
    // it may have been read and closed by now
    let _ = send.finish();
    Ok(())
}

async fn read(recv: &mut RecvStream, roster: &[u8; 32]) -> Result<(), HelloError> {
    let mut bytes = [0; BYTES];
    recv.read_exact(&mut bytes).await.map_err(|_| HelloError::Lost)?;
    let (magic, theirs) = bytes.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(HelloError::Garbage);
    }
    if theirs != roster {
        return Err(HelloError::Roster);
    }
    Ok(())
}

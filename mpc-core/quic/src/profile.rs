//! Transport parameters for the two kinds of network a city has.

use crate::congestion::Cap;
use crate::socket::MAX_DATAGRAM;
use crate::tls::Purpose;
use quinn::{AckFrequencyConfig, IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Where the nodes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// One machine or one fast network: jumbo datagrams where the path carries them, and never more in flight than the receiving
    /// socket holds.
    #[default]
    Lan,
    /// Tens of milliseconds apart: large windows and buffers, BBR.
    Wan,
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        match text {
            "lan" => Ok(Profile::Lan),
            "wan" => Ok(Profile::Wan),
            _ => Err(UnknownProfile(text.into())),
        }
    }
}

/// A word that names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network profile; use `lan` or `wan`")]
pub struct UnknownProfile(String);

const MB: u32 = 1 << 20;

/// A silent peer is noticed after [`KEEP_ALIVE`] + [`IDLE`] at the latest.
const KEEP_ALIVE: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_millis(2500);

/// The datagram networks between sites carry where they carry jumbo frames.
const JUMBO: u16 = 8900;
/// In flight over a long path: 400 MB/s at 40 ms, more than a core encrypts.
const FAR: u64 = 16 << 20;

/// Streams a party may have open at another: lanes of all jobs that run or wait.
const MESH_STREAMS: u32 = 1024;
/// Streams of one control connection.
const CONTROL_STREAMS: u32 = 64;

impl Profile {
    /// Kernel buffers of the socket.
    pub(crate) fn socket_buffer(self) -> usize {
        match self {
            Profile::Lan => 4 << 20,
            Profile::Wan => 8 << 20,
        }
    }

    /// How long a connection attempt may take, hello included.
    pub(crate) fn handshake(self) -> Duration {
        Duration::from_secs(5)
    }

    /// `buffer` is what the socket's receive buffer has turned out to be; peers are taken to have as much.
    pub(crate) fn transport(self, purpose: Purpose, buffer: usize) -> Arc<TransportConfig> {
        let mut config = TransportConfig::default();
        config
            .keep_alive_interval(Some(KEEP_ALIVE))
            .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE.as_millis() as u32))))
            .datagram_receive_buffer_size(None)
            .allow_spin(false);
        match self {
            Profile::Lan => {
                let mut mtu = MtuDiscoveryConfig::default();
                mtu.upper_bound(MAX_DATAGRAM as u16);
                // every other packet is acknowledged at once: with few jumbo packets in flight, waiting for more would be a stall
                let mut acks = AckFrequencyConfig::default();
                acks.max_ack_delay(Some(Duration::from_millis(5)));
                config
                    .initial_rtt(Duration::from_millis(20))
                    .mtu_discovery_config(Some(mtu))
                    .ack_frequency_config(Some(acks))
                    .congestion_controller_factory(Arc::new(Cap::cubic(in_flight(buffer))));
            }
            Profile::Wan => {
                let mut mtu = MtuDiscoveryConfig::default();
                mtu.upper_bound(JUMBO);
                config.mtu_discovery_config(Some(mtu)).congestion_controller_factory(Arc::new(Cap::bbr(FAR)));
            }
        }
        match purpose {
            Purpose::Mesh => {
                let (stream, connection) = match self {
                    Profile::Lan => (8 * MB, 128 * MB),
                    Profile::Wan => (64 * MB, 256 * MB),
                };
                // the connection's window is that of many lanes: one that is not read yet must not keep others from arriving. It is also what a
                // peer can make this node hold
                config
                    .max_concurrent_uni_streams(VarInt::from_u32(MESH_STREAMS))
                    .max_concurrent_bidi_streams(VarInt::from_u32(1))
                    .stream_receive_window(VarInt::from_u32(stream))
                    .receive_window(VarInt::from_u32(connection))
                    .send_window(128 * u64::from(MB));
            }
            Purpose::Control => {
                config
                    .max_concurrent_uni_streams(VarInt::from_u32(0))
                    .max_concurrent_bidi_streams(VarInt::from_u32(CONTROL_STREAMS))
                    .stream_receive_window(VarInt::from_u32(MB))
                    .receive_window(VarInt::from_u32(8 * MB))
                    .send_window(8 * u64::from(MB));
            }
        }
        Arc::new(config)
    }
}

/// What may be in flight to one peer whose socket's buffer has `buffer` bytes, shared by two: at least three jumbo datagrams, so that
/// acknowledgements flow, and no more than the second-level cache.
fn in_flight(buffer: usize) -> u64 {
    (buffer / 2).clamp(3 * MAX_DATAGRAM, MB as usize) as u64
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Profile::Lan => "lan",
            Profile::Wan => "wan",
        })
    }
}

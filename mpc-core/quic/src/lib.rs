//! The QUIC link between nodes: quinn, mutual TLS 1.3 with keys pinned by the roster, one thread for all input and output.
//!
//! ```text
//! protocol threads ──(QuicLink: one stream per direction and lane)── Mesh ── Endpoint ── one UDP socket
//! coordinator, control connections ──────────────────────────────────────────┘
//! ```
//!
//! [`Endpoint`] makes and takes connections, each to a [`Peer`] the roster knows; [`Mesh`] keeps one to every other party and hands
//! out a [`QuicLink`] per job. Protocol threads read and write their streams themselves, under the connection's own lock; the thread
//! `tacit-io` only moves datagrams. Nothing but this crate and the control plane knows tokio.

#[cfg(test)]
extern crate self as mpc_quic;

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
mod congestion;
pub mod endpoint;
mod hello;
mod link;
pub mod mesh;
mod park;
mod profile;
mod rendezvous;
mod reset;
mod socket;
mod stream;
mod tls;

pub use endpoint::{Backoff, DialError, Endpoint, EndpointError, Incoming, Peer};
pub use link::QuicLink;
pub use mesh::{Mesh, PeerStatus};
pub use profile::Profile;
pub use quinn;
pub use socket::Through;

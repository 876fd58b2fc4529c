//! A party as the coordinator sees it.

use mpc_quic::quinn::{Connection, RecvStream, SendStream};
use query::message::frame::{self, FromParty, Offer, PREFIX, Progress, Start, Stop, StopCode, ToParty};
use query::message::{Accept, Failed, Refuse, Sealed};
use std::collections::VecDeque;

/// A party as the coordinator sees it.
pub struct Line {
    pub party: usize,
    pub connection: Connection,
    pub send: SendStream,
    pub(super) recv: RecvStream,
    pub progress: Vec<Progress>,
    /// What it signed for the log with what it said last.
    pub entries: Vec<String>,
    /// What it said that was not heard yet.
    pub(super) waiting: VecDeque<FromParty>,
    /// All that it said, as it came out of the encryption.
    pub raw: Vec<u8>,
    /// The note of the part it sealed last.
    pub sealed: String,
}

/// What a party said that is not progress, opened.
#[derive(Debug)]
pub enum Said {
    Accept(Accept),
    Refuse(Refuse),
    Sealed(Box<Sealed>),
    Failed(Failed),
}

impl Line {
    pub async fn say(&mut self, frame: &ToParty) {
        self.send.write_all(&frame::encode(frame).expect("a frame")).await.expect("written");
    }

    pub async fn start(&mut self, offer: &Offer) {
        self.start_at(offer, None).await;
    }

    /// Starts it with a checkpoint of the log.
    pub async fn start_at(&mut self, offer: &Offer, checkpoint: Option<String>) {
        self.say(&ToParty::Start(Start { job: offer.job, attempt: offer.attempt, checkpoint })).await;
    }

    pub async fn stop(&mut self, offer: &Offer, code: StopCode) {
        self.say(&ToParty::Stop(Stop { job: offer.job, attempt: offer.attempt, code })).await;
    }

    pub(super) async fn read(&mut self) -> FromParty {
        match self.waiting.pop_front() {
            Some(said) => said,
            None => self.frame().await,
        }
    }

    /// The next frame on the line.
    pub(super) async fn frame(&mut self) -> FromParty {
        let mut prefix = [0; PREFIX];
        self.recv.read_exact(&mut prefix).await.expect("a frame");
        let mut body = vec![0; frame::length(prefix).expect("a length")];
        self.recv.read_exact(&mut body).await.expect("a body");
        self.raw.extend_from_slice(&body);
        frame::decode(&body).expect("a frame of a party")
    }
}

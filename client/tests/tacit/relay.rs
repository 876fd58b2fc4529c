//! What passes on the wire: relays before the addresses of a city's nodes, which keep a copy of all that they carry.

use crate::fixture::Town;
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A relay. Its threads wait for traffic and end with the test program.
pub struct Relay {
    /// What it is before: `energy, QUIC`.
    pub of: String,
    /// Where it is reached.
    pub front: SocketAddr,
    tape: Tape,
}

/// What was carried: every datagram, every direction of every connection.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<Vec<u8>>>>);

impl Relay {
    /// Carries datagrams that arrive at `front` to `back`, and answers to whoever they are for.
    pub fn udp(of: String, front: SocketAddr, back: SocketAddr) -> Self {
        let tape = Tape::default();
        let (socket, copy) = (Arc::new(UdpSocket::bind(front).expect("the front")), tape.clone());
        let front = socket.local_addr().expect("an address");
        thread::spawn(move || {
            let mut flows: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
            datagrams(&socket, |bytes, from| {
                copy.whole(bytes);
                // For each who calls, a socket of its own: so answers are told apart.
                let flow = flows.entry(from).or_insert_with(|| {
                    let flow = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket"));
                    let (socket, back, copy) = (socket.clone(), flow.clone(), copy.clone());
                    thread::spawn(move || {
                        datagrams(&back, |bytes, _| {
                            copy.whole(bytes);
                            socket.send_to(bytes, from).ok();
                        });
                    });
                    flow
                });
                // What cannot be sent is lost, as on any network.
                flow.send_to(bytes, back).ok();
            });
        });
        Self { of, front, tape }
    }

    /// Carries connections to `front` on to `back`.
    pub fn tcp(of: String, front: SocketAddr, back: SocketAddr) -> Self {
        let tape = Tape::default();
        let (listener, copy) = (TcpListener::bind(front).expect("the front"), tape.clone());
        let front = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // Nobody there yet: the caller sees its connection closed.
                let Ok(far) = TcpStream::connect(back) else { continue };
                let again = |stream: &TcpStream| stream.try_clone().expect("a second handle");
                for (from, to) in [(again(&near), again(&far)), (far, near)] {
                    let copy = copy.clone();
                    thread::spawn(move || stream(from, to, &copy));
                }
            }
        });
        Self { of, front, tape }
    }

    /// How many bytes it carried.
    pub fn bytes(&self) -> u64 {
        self.tape.lock(|pieces| pieces.iter().map(|piece| piece.len() as u64).sum())
    }

    /// The first that `look` finds in what was carried.
    pub fn find(&self, look: impl Fn(&[u8]) -> Option<String>) -> Option<String> {
        self.tape.lock(|pieces| pieces.iter().find_map(|piece| look(piece)))
    }
}

impl Tape {
    fn lock<T>(&self, see: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        see(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn whole(&self, bytes: &[u8]) {
        self.lock(|pieces| pieces.push(bytes.to_vec()));
    }
}

fn datagrams(socket: &UdpSocket, mut each: impl FnMut(&[u8], SocketAddr)) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        each(&buffer[..length], from);
    }
}

/// One direction of a connection, in one piece: a value could lie across two reads.
fn stream(mut from: TcpStream, mut to: TcpStream, tape: &Tape) {
    let at = tape.lock(|pieces| {
        pieces.push(Vec::new());
        pieces.len() - 1
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        tape.lock(|pieces| pieces[at].extend(&buffer[..length]));
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
    from.shutdown(Shutdown::Read).ok();
}

/// Relays before every address of a city none of whose nodes runs yet. Its nodes are told to listen elsewhere, where nobody else is told that they are: what
/// they say to one another goes to where the roster says, and so through here.
pub fn before(town: &Town) -> Vec<Relay> {
    let mut relays = Vec::new();
    for node in town.city.roster().nodes() {
        let path = town.city.node_config(&node.name).expect("a configuration");
        let config = fs::read_to_string(path).expect("read");
        let said = config.lines().find_map(|line| Some(line.strip_prefix("http = ")?.trim_matches('"')));
        let http = said.or(node.api.as_deref()).expect("its HTTP address").trim_start_matches("http://");
        let (quic, web) = (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let [quic, web] = [quic.and_then(|socket| socket.local_addr()), web.and_then(|socket| socket.local_addr())]
            .map(|addr| addr.expect("a free port"));
        let rest: String = config.lines().filter(|line| !line.starts_with("http = ")).map(|line| format!("{line}\n")).collect();
        fs::write(path, format!("listen = \"{quic}\"\nhttp = \"{web}\"\n{rest}")).expect("written");
        let front = |address: &str| address.parse().expect("an address");
        relays.push(Relay::udp(format!("{}, QUIC", node.name), front(&node.addr), quic));
        relays.push(Relay::tcp(format!("{}, HTTP", node.name), front(http), web));
    }
    relays
}

//! What a job costs in its ledger: a coordinator that sequences, and three agencies behind HTTP servers on loopback, each with a store that writes through to
//! the disk. Nothing is computed between start and result.
//!
//! | step | requests to each agency, all three at once |
//! |---|---|
//! | the agencies verify and sign: debits, and the start | 1 |
//! | query, debits and start are appended; witnesses and mirrors cosign | 2: `add-checkpoint`, `add-entries` |
//! | each agency passes the job's gate with that checkpoint | 1 |
//! | they sign the result | 1 |
//! | it is appended and cosigned | 2 |

use super::city::{self, AGENCIES, DATA_SETS};
use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Request, Response, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use ledger::bytes::Hash;
use ledger::checkpoint::Checkpoint;
use ledger::cosigner::Cosigner;
use ledger::entry::{self, Body as Statement, Entry};
use ledger::policy::Window;
use ledger::sequencer::{Progress, Sequencer};
use ledger::wire::MAX_ADD_ENTRIES;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};

/// How long each of `jobs` takes.
pub fn measure(folder: &Path, jobs: u64) -> Result<Vec<Duration>> {
    // an agency waits for its disk on its own thread, as it would in its own process
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(AGENCIES.len() + 1).enable_all().build()?;
    runtime.block_on(async {
        let mut city = City::start(folder).await?;
        city.append(&city::founding()?).await?;
        let mut times = Vec::new();
        // the first opens nothing that is not open yet, but finds caches cold, and is not counted
        for n in 0..=jobs {
            let start = Instant::now();
            city.job(city::job_id(n)).await?;
            times.push(start.elapsed());
        }
        Ok(times.split_off(1))
    })
}

/// The coordinator's side: the log, and a connection to each agency.
struct City {
    log: Sequencer,
    agencies: [Connection; 3],
}

impl City {
    async fn start(folder: &Path) -> Result<Self> {
        let log = city::sequencer(&folder.join("coordinator"))?;
        let mut agencies = Vec::new();
        for name in AGENCIES {
            agencies.push(Connection::to(name, Agency::serve(folder, name).await?).await?);
        }
        let agencies = agencies.try_into().ok().context("three agencies")?;
        Ok(Self { log, agencies })
    }

    async fn job(&mut self, job: Hash) -> Result<()> {
        let query = city::signed(&city::query(job)?, city::PLANNER)?;
        let signed = self.ask_all("begin", query.clone()).await?;
        let signed: Vec<Signed> = signed.iter().map(|answer| Ok(serde_json::from_slice(answer)?)).collect::<Result<_>>()?;
        let mut entries = vec![query];
        entries.extend(signed.iter().flat_map(|signed| signed.debits.clone()));
        entries.push(entry::join(signed.iter().map(|signed| signed.step.as_str()))?);
        self.append(&entries).await?;

        let checkpoint = self.log.published().context("no quorum cosigned the start")?.note();
        self.ask_all("gate", format!("{job}\n{checkpoint}")).await?;

        let signed = self.ask_all("end", job.to_string()).await?;
        let signed: Vec<&str> = signed.iter().map(|answer| Ok(std::str::from_utf8(answer)?)).collect::<Result<_>>()?;
        self.append(&[entry::join(signed)?]).await
    }

    /// Appends entries, and has all agencies cosign.
    async fn append(&mut self, entries: &[String]) -> Result<()> {
        city::append(&mut self.log, entries)?;
        let mut updates = AGENCIES.iter().map(|name| self.log.update_for(name));
        let [a, b, c] = &mut self.agencies;
        let mut next = || updates.next().context("three agencies");
        let answers = tokio::try_join!(a.update(next()??), b.update(next()??), c.update(next()??))?;
        drop(updates);
        for (name, [witness, validated]) in AGENCIES.iter().zip(<[_; 3]>::from(answers)) {
            let progress = self.log.answered(name, (witness.0, &witness.1), (validated.0, &validated.1))?;
            ensure!(progress == Progress::Done, "{name} did not cosign");
        }
        let published = self.log.published().map(|checkpoint| checkpoint.head());
        ensure!(published == Some(self.log.head()), "no quorum cosigned the newest checkpoint");
        Ok(())
    }

    async fn ask_all(&mut self, what: &str, body: String) -> Result<[Bytes; 3]> {
        let body = Bytes::from(body);
        let [a, b, c] = &mut self.agencies;
        let answers = tokio::try_join!(a.ask(what, body.clone()), b.ask(what, body.clone()), c.ask(what, body.clone()))?;
        Ok(answers.into())
    }
}

/// A connection that is kept open.
struct Connection {
    agency: &'static str,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn to(agency: &'static str, address: std::net::SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { agency, sender })
    }

    /// `add-checkpoint`, then `add-entries`.
    async fn update(&mut self, [checkpoint, entries]: [Vec<u8>; 2]) -> Result<[(u16, Bytes); 2]> {
        Ok([self.post("add-checkpoint", checkpoint.into()).await?, self.post("add-entries", entries.into()).await?])
    }

    async fn ask(&mut self, what: &str, body: Bytes) -> Result<Bytes> {
        let (status, answer) = self.post(what, body).await?;
        ensure!(status == 200, "{} answered {what} with {status}: {}", self.agency, String::from_utf8_lossy(&answer));
        Ok(answer)
    }

    async fn post(&mut self, path: &str, body: Bytes) -> Result<(u16, Bytes)> {
        self.sender.ready().await?;
        let request = Request::post(format!("/{path}")).header("host", self.agency).body(Full::new(body))?;
        let answer = self.sender.send_request(request).await?;
        Ok((answer.status().as_u16(), answer.into_body().collect().await?.to_bytes()))
    }
}

/// What an agency signs of a job before it starts.
#[derive(serde::Serialize, serde::Deserialize)]
struct Signed {
    debits: Vec<String>,
    step: String,
}

/// The agency's side.
struct Agency {
    name: &'static str,
    cosigner: Mutex<Cosigner>,
}

impl Agency {
    /// Listens; ends with the runtime.
    async fn serve(folder: &Path, name: &'static str) -> Result<std::net::SocketAddr> {
        let agency = Arc::new(Agency { name, cosigner: Mutex::new(city::cosigner(&folder.join(name), name)?) });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let answer = |State(agency): State<Arc<Agency>>, uri: Uri, body: Bytes| async move {
            agency.answer(uri.path().trim_start_matches('/'), &body).unwrap_or_else(|error| {
                Response::builder().status(StatusCode::BAD_REQUEST).body(Body::from(format!("{error:#}"))).unwrap_or_default()
            })
        };
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_ADD_ENTRIES)).with_state(agency);
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(address)
    }

    fn answer(&self, path: &str, body: &[u8]) -> Result<Response<Body>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut cosigner = self.cosigner.lock().ok().context("the agency has failed before")?;
        let body = match path {
            "add-checkpoint" | "add-entries" => {
                let answer = if path == "add-entries" { cosigner.add_entries(body, now) } else { cosigner.add_checkpoint(body, now) };
                return Ok(Response::builder().status(answer.status).body(answer.body.into())?);
            }
            "begin" => self.begin(body)?,
            "gate" => {
                let (job, checkpoint) = std::str::from_utf8(body)?.split_once('\n').context("no job before the checkpoint")?;
                cosigner.gate(&job.parse()?, 1, &Checkpoint::parse(checkpoint)?, Window::at(now))?;
                String::new()
            }
            _ => city::signed(&city::result(std::str::from_utf8(body)?.parse()?), self.name)?,
        };
        Ok(Response::new(body.into()))
    }

    fn begin(&self, query: &[u8]) -> Result<String> {
        let Statement::Query(query) = Entry::parse(query)?.body else { anyhow::bail!("not a query") };
        let mine = DATA_SETS.iter().filter(|dataset| city::owner(dataset) == self.name);
        let debits = mine.map(|dataset| city::signed(&city::debit(query.job, dataset)?, self.name)).collect::<Result<_>>()?;
        let step = city::signed(&city::start(query.job), self.name)?;
        Ok(serde_json::to_string(&Signed { debits, step })?)
    }
}

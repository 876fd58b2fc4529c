//! The HTTP/JSON API for planners. Whoever can reach it may read states and sealed results: they tell what the wire tells.
//! What changes anything is a signed note.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/jobs` (a signed query, as JSON with its entry for the log) | [`Submitted`]; the same note twice is one job |
//! | `GET /v1/jobs` | the newest jobs, as a list of `JobStatus` |
//! | `GET /v1/jobs/{id}` | `JobStatus` |
//! | `GET /v1/jobs/{id}/events` | server-sent [`Event`]s, resumable with `Last-Event-ID` |
//! | `GET /v1/jobs/{id}/result` | `SealedResults` |
//! | `DELETE /v1/jobs/{id}` (a signed cancel) | [`Submitted`] |
//! | `GET /v1/catalog`, `GET /v1/roster` | the TOML text |
//! | `GET /v1/status` | `CityStatus` |
//! | `GET /v1/standing?planner=NAME` | `Standing`: what a planner must know of the log to ask |
//! | `GET /healthz`, `GET /metrics` | plain text |
//! | `GET /ledger/checkpoint`, `GET /ledger/tile/…` | the city's log, as <https://c2sp.org/tlog-tiles> |
//! | `POST /ledger/entries` (an entry) | `{"index"}`, once a quorum cosigned it |
//!
//! An error is a [`Refusal`] as JSON: `{"code", "reason", "fix"}`; of the log, `{"code", "reason"}`.

use crate::clock::Now;
use crate::handle::Handle;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query as Parameters, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::Stream;
use ledger::bytes::Hash;
use ledger::note::MAX_NOTE;
use ledger::tile::MAX_ENTRY;
use mpc_core::roster::Roster;
use query::message::job::{CityStatus, Event, JobStatus, SealedResults, Standing, Submit, Submitted};
use query::message::{Cancel, Code, Query, QueryId, Refusal, Statement};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What the API serves.
#[derive(Clone)]
pub(crate) struct Api {
    pub handle: Handle,
    /// Queries that may be checked at the same time.
    pub checking: Arc<Semaphore>,
    pub roster: Arc<Roster>,
    pub roster_text: Arc<str>,
    pub catalog_text: Arc<str>,
    pub catalog_hash: Hash,
    pub compile: Arc<Compile>,
}

/// Whether a query compiles: an early answer for the planner. Every party compiles for itself all the same.
pub(crate) type Compile = dyn Fn(&Query) -> Result<(), Refusal> + Send + Sync;

/// The routes.
pub(crate) fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/jobs", get(list).post(submit))
        .route("/v1/jobs/{job}", get(status).delete(cancel))
        .route("/v1/jobs/{job}/events", get(events))
        .route("/v1/jobs/{job}/result", get(result))
        .route("/v1/catalog", get(|State(api): State<Api>| async move { toml_text(&api.catalog_text) }))
        .route("/v1/roster", get(|State(api): State<Api>| async move { toml_text(&api.roster_text) }))
        .route("/v1/status", get(city))
        .route("/v1/standing", get(standing))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/ledger/entries", post(enter))
        .route("/ledger/{*path}", get(read_log))
        .fallback(|| async { Problem(not_found("there is no such resource; the API is under /v1")) })
        .method_not_allowed_fallback(|| async { Problem(request("the resource does not know this method".into())) })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(api)
}

async fn submit(State(api): State<Api>, SignedNote(submit): SignedNote) -> Result<(StatusCode, Json<Submitted>), Problem> {
    if submit.entry.is_some() && api.handle.ledger().is_none() {
        return Err(
            Refusal::new(Code::LedgerEntry, "this city keeps no log, and the query comes with an entry for one", "leave it out").into()
        );
    }
    let slot = api.checking.clone().acquire_owned().await.map_err(|_| internal("no more queries are checked"))?;
    let (roster, catalog_hash, compile) = (api.roster.clone(), api.catalog_hash, api.compile.clone());
    // Verifying and compiling are work: not on a thread that serves connections.
    let admitted = tokio::task::spawn_blocking(move || {
        let _slot = slot; // held to the end: a planner who hangs up does not end the work
        let (job, query) = Query::admit(&submit.note, &roster, catalog_hash, Now::read().unix())?;
        compile(&query)?;
        Ok::<_, Refusal>((job, query, submit))
    });
    let (job, query, submit) = admitted.await.map_err(|_| internal("the query could not be checked"))??;
    Ok((StatusCode::ACCEPTED, Json(api.handle.submit(job, query, submit).await?)))
}

async fn cancel(
    State(api): State<Api>,
    JobId(job): JobId,
    SignedNote(Submit { note, .. }): SignedNote,
) -> Result<Json<Submitted>, Problem> {
    let name = api.handle.planner_of(job).await?.ok_or_else(|| not_found("there is no such job"))?;
    let planner = api.roster.planner(&name).ok_or_else(|| internal("the job's planner is not in the roster"))?;
    let signed = Cancel::open(&note, &planner.name, &planner.key).map_err(|e| {
        Refusal::new(Code::Signature, format!("the job is not cancelled: {e}"), "sign the cancel note with the key that signed the query")
    })?;
    if signed.job != job {
        return Err(Refusal::new(Code::Signature, "the cancel note is for another job", "sign one for this job").into());
    }
    Ok(Json(api.handle.cancel(job).await?))
}

async fn list(State(api): State<Api>) -> Result<Json<Vec<JobStatus>>, Problem> {
    Ok(Json(api.handle.list().await?))
}

async fn status(State(api): State<Api>, JobId(job): JobId) -> Result<Json<JobStatus>, Problem> {
    Ok(Json(api.handle.status(job).await?))
}

async fn result(State(api): State<Api>, JobId(job): JobId) -> Result<Json<SealedResults>, Problem> {
    Ok(Json(api.handle.sealed(job).await?))
}

async fn events(
    State(api): State<Api>,
    JobId(job): JobId,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let last = match headers.get("last-event-id") {
        None => 0,
        Some(id) => id.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(|| request("Last-Event-ID is not a number".into()))?,
    };
    let follow = api.handle.follow(job, last).await?;
    let stream = futures_util::stream::unfold(follow, |mut follow| async move {
        let event = follow.next().await?;
        Some((Ok(event_of(&event)), follow))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event_of(event: &Event) -> sse::Event {
    let data = serde_json::to_string(event).expect("an event is plain strings and numbers");
    sse::Event::default().id(event.seq.to_string()).data(data)
}

async fn city(State(api): State<Api>) -> Result<Json<CityStatus>, Problem> {
    Ok(Json(api.handle.city().await?))
}

/// Of which planner, if of one.
#[derive(Deserialize)]
struct Whose {
    planner: Option<String>,
}

async fn standing(State(api): State<Api>, Parameters(whose): Parameters<Whose>) -> Result<Json<Standing>, Problem> {
    let ledger = api.handle.ledger().ok_or_else(|| not_found("this city keeps no log"))?;
    let standing = ledger.standing(whose.planner).await;
    Ok(Json(standing.ok_or_else(|| internal("the log is closed, or cannot be read"))?))
}

async fn healthz(State(api): State<Api>) -> Response {
    // An answer from the scheduler, not only from this thread.
    match api.handle.city().await {
        Ok(_) => "ok\n".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n").into_response(),
    }
}

async fn metrics(State(api): State<Api>) -> Result<Response, Problem> {
    let text = api.handle.metrics().await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn enter(State(api): State<Api>, entry: Bytes) -> Response {
    let Some(ledger) = api.handle.ledger() else { return Problem(not_found("this city keeps no log")).into_response() };
    match ledger.submit(entry.into()).await {
        Ok(index) => Json(serde_json::json!({ "index": index })).into_response(),
        Err(refused) => {
            let status = match refused.code.as_str() {
                "E_BUSY" => StatusCode::TOO_MANY_REQUESTS,
                "E_LEDGER_REPLAY" => StatusCode::CONFLICT,
                "E_LEDGER_SIGNATURE" | "E_REVOKED" => StatusCode::FORBIDDEN,
                "E_LEDGER_ENTRY" | "E_LEDGER_RULE" => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, Json(refused)).into_response()
        }
    }
}

async fn read_log(State(api): State<Api>, Path(path): Path<String>) -> Response {
    let Some(ledger) = api.handle.ledger() else { return Problem(not_found("this city keeps no log")).into_response() };
    match ledger.get(path).await {
        Some(answer) => {
            let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [(header::CONTENT_TYPE, answer.content_type)], answer.body).into_response()
        }
        None => Problem(internal("the log is closed")).into_response(),
    }
}

fn toml_text(text: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/toml")], text.to_owned()).into_response()
}

/// A job's id in the path.
struct JobId(QueryId);

impl<S: Send + Sync> FromRequestParts<S> for JobId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|Path(id)| id.parse().ok());
        id.map(Self).ok_or_else(|| request("a job id is 64 lower-case hexadecimal digits".into()).into())
    }
}

/// A body that is a signed note: its bare text, or [`Submit`] as JSON.
struct SignedNote(Submit);

impl<S: Send + Sync> FromRequest<S> for SignedNote {
    type Rejection = Problem;

    async fn from_request(incoming: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let body: Result<Bytes, BytesRejection> = Bytes::from_request(incoming, state).await;
        let body = body.map_err(|e| match e.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::new(
                Code::TooLarge,
                format!("the body is longer than {MAX_BODY} bytes, the most that is read"),
                "shorten the query: a signed one holds at most 64 KiB of SQL",
            ),
            _ => request(format!("the body is not read: {}", e.body_text())),
        })?;
        if body.starts_with(b"{") {
            let submit: Submit = serde_json::from_slice(&body).map_err(|_| request("the body is not {\"note\": \"…\"}".into()))?;
            return Ok(Self(submit));
        }
        let note = String::from_utf8(body.into()).map_err(|_| request("the body is not a signed note".into()))?;
        Ok(Self(Submit { note, entry: None }))
    }
}

/// A refusal as an HTTP answer.
#[derive(Debug)]
struct Problem(Refusal);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = match self.0.code {
            Code::Request => StatusCode::BAD_REQUEST,
            Code::Signature => StatusCode::UNAUTHORIZED,
            Code::Planner | Code::NoConsent | Code::UsedUp | Code::Revoked | Code::Difference | Code::Budget => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Roster | Code::Catalog | Code::Replay | Code::Answer | Code::NotReady => StatusCode::CONFLICT,
            Code::Cancelled | Code::Expired => StatusCode::GONE,
            Code::Busy => StatusCode::TOO_MANY_REQUESTS,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::Peer | Code::Desync | Code::Deadline => StatusCode::BAD_GATEWAY,
            Code::LedgerReplay => StatusCode::CONFLICT,
            Code::LedgerEntry | Code::LedgerSignature | Code::LedgerRule => StatusCode::UNPROCESSABLE_ENTITY,
            Code::LedgerJob
            | Code::LedgerBehind
            | Code::LedgerStale
            | Code::LedgerQuorum
            | Code::LedgerFork
            | Code::LedgerRollback
            | Code::Ledger => StatusCode::SERVICE_UNAVAILABLE,
            Code::NotYet | Code::Sql | Code::Width | Code::Unsupported | Code::Data | Code::Plan | Code::OutputKey => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        (status, Json(self.0)).into_response()
    }
}

fn request(reason: String) -> Refusal {
    Refusal::new(Code::Request, reason, "see the coordinator's API in its documentation")
}

fn not_found(reason: &str) -> Refusal {
    Refusal::new(Code::NotFound, reason, "check the address and the id; finished jobs are removed after a while")
}

fn internal(reason: &str) -> Refusal {
    Refusal::new(Code::Internal, reason, "tell the coordinator's operator: its log says more")
}

/// A note inside a JSON string may double in length at worst.
const MAX_BODY: usize = 2 * (MAX_NOTE + MAX_ENTRY) + 256;
const KEEP_ALIVE: Duration = Duration::from_secs(10);

//! The codes of the ledger's refusals: what whoever is refused can do next. What happened, and where, stands in the refusal itself.

/// What to do about a refusal of this code.
pub fn next_step(code: &str) -> &'static str {
    STEPS
        .iter()
        .find(|(of, _)| *of == code)
        .map_or("look the code up in docs/ledger.md, and compare the releases of the nodes", |(_, step)| step)
}

const STEPS: [(&str, &str); 27] = [
    ("E_BUDGET", "ask for less with `--epsilon`, or again next month; a question that was answered before costs nothing"),
    ("E_BUSY", "try again in a moment"),
    ("E_LEDGER_BEHIND", "try again in a moment; `tacit doctor` shows how far each node's mirror is"),
    (
        "E_LEDGER_CONFIG",
        "compare the section [ledger] of the configuration, its keys and its folder with the roster and `city.policy`; `tacit doctor` does so",
    ),
    (
        "E_LEDGER_CORRUPT",
        "an agency stops its node, removes the folder, not the mark beside it, and restores it from another's mirror (`tacit ledger restore`); a coordinator puts \
         its own newest copy there, or the agencies hand the log over (docs/ledger.md); whoever reads a copy fetches it again",
    ),
    ("E_LEDGER_COSIGNER", "look at the log of the agency's node; it says what it did not take"),
    ("E_LEDGER_DISK", "look at the disk and the permissions of the ledger's folder, then start the node again"),
    ("E_LEDGER_ENTRY", "correct the entry and sign it again: docs/ledger.md has the kinds, `ledger/src/entry.rs` the fields"),
    (
        "E_LEDGER_EVIDENCE",
        "make evidence of two checkpoints that one key signed and that are not of one log: `tacit ledger evidence ONE OTHER --policy P`",
    ),
    (
        "E_LEDGER_FORK",
        "make evidence of both checkpoints with `tacit ledger evidence`, and have the agencies hand the log over (docs/ledger.md)",
    ),
    ("E_LEDGER_FULL", "make room on the disk of the ledger's folder; it goes on by itself"),
    ("E_LEDGER_HANDOVER", "go on in the log that follows: set `folder`, `handover` and `after` in [ledger] as docs/ledger.md says"),
    ("E_LEDGER_JOB", "ask again; if it recurs, compare the nodes' logs: this one does not say that the attempt may begin"),
    ("E_LEDGER_LOCKED", "end the other process that uses the ledger's folder, or name another folder"),
    ("E_LEDGER_ORIGIN", "name the log that is meant: the first line of its checkpoint must be the name in the policy's `log` line"),
    ("E_LEDGER_POLICY", "correct the policy file: the same lines at every node, as `tacit init` wrote them"),
    ("E_LEDGER_PROOF", "fetch checkpoint, tiles and proof again from one source, and compare with another agency's mirror"),
    ("E_LEDGER_QUORUM", "see that all agencies' nodes run (`tacit doctor`), then try again"),
    (
        "E_LEDGER_REPLAY",
        "nothing need be done if it is what was meant to stand there; else make a new one: another query, another contract",
    ),
    ("E_LEDGER_REQUEST", "send what docs/ledger.md and the C2SP formats that it names prescribe"),
    (
        "E_LEDGER_ROLLBACK",
        "find out who put back the ledger's folder or the mark beside it; then an agency stops its node and restores it from another's mirror (`tacit ledger restore`); \
         a coordinator puts its own newest copy of the folder there, or the agencies hand the log over (docs/ledger.md)",
    ),
    (
        "E_LEDGER_RULE",
        "enter first what it refers to: members, contracts and snapshots before queries, query and debits before starts, starts before results",
    ),
    (
        "E_LEDGER_SIGNATURE",
        "have those sign who must: the key that the log has of a member, of as many agencies as the entry takes (`ledger/src/replay.rs`)",
    ),
    ("E_LEDGER_STALE", "fetch a checkpoint of the last minute, or compare the clocks of the nodes (`tacit doctor`)"),
    ("E_LEDGER_TILE", "name an entry that the checkpoint has, or fetch the log's files again"),
    ("E_REVOKED", "ask the owner of the data for another contract"),
    ("E_USED_UP", "ask the owner of the data for another contract"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// All codes that files of this room name, but for those of jobs that end, which refuse no entry.
    fn named(folder: &Path, codes: &mut Vec<String>) {
        for file in std::fs::read_dir(folder).expect("a folder") {
            let path = file.expect("a file").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            if path.is_dir() {
                named(&path, codes);
            } else if !name.ends_with("tests.rs") && name != "code.rs" {
                let text = std::fs::read_to_string(&path).expect("text");
                let words = text.split('"').filter(|word| word.strip_prefix("E_").is_some_and(|rest| !rest.is_empty()));
                codes.extend(words.filter(|word| word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')).map(Into::into));
            }
        }
    }

    #[test]
    fn every_code_has_a_next_step_of_its_own() {
        let mut codes = Vec::new();
        named(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut codes);
        assert!(codes.len() > 30 && codes.iter().any(|code| code == "E_LEDGER_RULE"), "{codes:?}");
        for code in codes.iter().filter(|code| *code != crate::entry::SEALED) {
            assert!(STEPS.iter().any(|(of, step)| of == code && step.len() > 20), "{code}: say what to do");
        }
        assert!(STEPS.is_sorted_by(|(one, _), (next, _)| one < next));
        assert!(!next_step("E_SOMETHING_NEW").is_empty());
    }
}

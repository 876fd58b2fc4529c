use super::*;
use crate::bytes::Hash;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn vkey(seed: u8, name: &str, kind: KeyKind) -> VerifierKey {
    VerifierKey::new(name, kind, key(seed).verifying_key()).expect("a key")
}

fn log() -> VerifierKey {
    vkey(200, "city.example/ledger", KeyKind::Note)
}

fn agencies(count: u8) -> Vec<Agency> {
    let one = |i| Agency {
        name: format!("a{i}"),
        witness: vkey(2 * i, &format!("a{i}/witness"), KeyKind::Cosignature),
        validated: vkey(2 * i + 1, &format!("a{i}/validated"), KeyKind::Cosignature),
    };
    (0..count).map(one).collect()
}

/// A checkpoint cosigned at these times: (agency, 0 witness or 1 validated, time).
fn checkpoint(by: &[(u8, u8, u64)]) -> Checkpoint {
    let head = Head { origin: "city.example/ledger".into(), size: 3, root: Hash([1; 32]) };
    let lines: Vec<String> = by
        .iter()
        .map(|(agency, which, time)| {
            let name = format!("a{agency}/{}", ["witness", "validated"][usize::from(*which)]);
            head.cosign(&name, &key(2 * agency + which), *time).expect("cosigned")
        })
        .collect();
    let signed = head.sign(&key(200)).expect("signed");
    if lines.is_empty() { signed } else { signed.with_only(&log(), lines.iter().map(String::as_str)).expect("whole") }
}

#[test]
fn the_quorum_is_the_least_that_cannot_be_split() {
    let table = [3, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12, 12, 13, 14, 15, 15];
    for (n, k) in (3..).zip(table) {
        assert_eq!(quorum(n, minority(n)), k, "{n} agencies");
    }
    for n in 1..=24u32 {
        assert_eq!(quorum(n, n - 1), n, "all, where all but one may be corrupt");
        for corrupt in 0..n {
            // The honest are split in two halves, the corrupt cosign both sides: neither side may reach k, and k − 1 can be reached.
            let honest = n - corrupt;
            let (small, large) = (honest / 2, honest.div_ceil(2));
            let k = quorum(n, corrupt);
            assert!(corrupt + small < k, "n={n} t={corrupt}: both halves reach {k}");
            assert!(corrupt + small + 1 == k && large >= small, "n={n} t={corrupt}: {k} is not the least");
        }
    }
    assert_eq!(quorum(0, 0), 0);
}

#[test]
fn k_agencies_with_both_keys_are_needed() {
    let policy = Policy::of_agencies(&log(), &agencies(4), 3).expect("a policy");
    let full = |agencies: &[u8]| agencies.iter().flat_map(|a| [(*a, 0, 100), (*a, 1, 100)]).collect::<Vec<_>>();
    assert!(policy.check(&checkpoint(&full(&[0, 2, 3])), None, &[]).is_ok());
    let mut one_half = full(&[0, 2, 3]);
    one_half.pop();
    for by in [vec![], full(&[0, 1]), one_half] {
        let error = policy.check(&checkpoint(&by), None, &[]).expect_err("too few");
        assert!(error.code() == "E_LEDGER_QUORUM" && !error.to_string().contains("out of date"), "{error}");
    }
    // A participant must be among them.
    let three = checkpoint(&full(&[0, 2, 3]));
    assert!(policy.check(&three, None, &["a2", "a3/validated"]).is_ok());
    for absent in ["a1", "a1/validated", "nobody"] {
        assert_eq!(policy.check(&three, None, &["a0", absent]).expect_err("absent").code(), "E_LEDGER_QUORUM");
    }
}

#[test]
fn only_fresh_cosignatures_count() {
    let policy = Policy::of_agencies(&log(), &agencies(3), 3).expect("a policy");
    let at = |times: [u64; 3]| {
        checkpoint(&(0..3).flat_map(|a| [(a, 0, times[usize::from(a)]), (a, 1, times[usize::from(a)])]).collect::<Vec<_>>())
    };
    let check = |times, now| policy.check(&at(times), Some(Window::at(now)), &[]).map(drop).map_err(|error| error.code());
    assert_eq!(check([1000, 1000, 1000], 1060), Ok(()));
    assert_eq!(check([1000, 1000, 1000], 1061), Err("E_LEDGER_STALE"));
    // One that lies about the time makes nothing newer.
    assert_eq!(check([1000, 9000, 9000], 9000), Err("E_LEDGER_STALE"));
    // A clock within the skew is accepted, one an hour off is not, either way.
    assert_eq!(check([1060, 1000, 1000], 1000), Ok(()));
    assert_eq!(check([1000 + 3600, 1000, 1000], 1000), Err("E_LEDGER_STALE"));
    assert_eq!(check([u64::MAX >> 1, 1000, 1000], 1000), Err("E_LEDGER_STALE"));
    // Of two cosignatures by one key the fresh one counts.
    let mut both: Vec<_> = (0..3).flat_map(|a| [(a, 0, 9000), (a, 1, 9000)]).collect();
    both.push((0, 0, 1000));
    assert!(policy.check(&checkpoint(&both), Some(Window::at(9000)), &[]).is_ok());
}

#[test]
fn unknown_keys_are_passed_over_and_bad_signatures_are_not() {
    let policy = Policy::of_agencies(&log(), &agencies(2), 2).expect("a policy");
    let by: Vec<_> = (0..9).flat_map(|a| [(a, 0, 5), (a, 1, 5)]).collect();
    let good = checkpoint(&by);
    assert!(policy.check(&good, None, &[]).is_ok(), "nineteen signatures, fourteen of them unknown");
    // A known key's signature over something else.
    let other = Head { origin: "city.example/ledger".into(), size: 4, root: Hash([1; 32]) };
    let line = other.cosign("a1/witness", &key(2), 5).expect("cosigned");
    let bad = Checkpoint::parse(&format!("{}{line}\n", good.note())).expect("framed");
    assert_eq!(policy.check(&bad, None, &[]).expect_err("refused").code(), "E_LEDGER_SIGNATURE");
    let elsewhere = other.sign(&key(201)).expect("signed");
    assert_eq!(policy.check(&elsewhere, None, &[]).expect_err("refused").code(), "E_LEDGER_SIGNATURE");
    let unknown = Head { origin: "city.example/other".into(), ..other }.sign(&key(200)).expect("signed");
    assert_eq!(policy.check(&unknown, None, &[]).expect_err("refused").code(), "E_LEDGER_ORIGIN");
}

#[test]
fn the_example_of_the_specification_reads_and_decides() {
    let w = |name: &str, seed| format!("witness {name} {}\n", vkey(seed, &format!("{name}.example"), KeyKind::Cosignature));
    let text = format!(
        "# a comment\n\tlog {} https://log.example/\n\n{}{}{}group  X-witnesses 2 X1 X2 X3\n{}{}group Y-witnesses any Y1 Y2\n\
         group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
        log(),
        w("X1", 11),
        w("X2", 12),
        w("X3", 13),
        w("Y1", 14),
        w("Y2", 15),
    );
    let policy: Policy = text.parse().expect("a policy");
    assert_eq!(policy.to_string().parse::<Policy>(), Ok(policy.clone()));
    let head = Head { origin: "city.example/ledger".into(), size: 3, root: Hash([1; 32]) };
    let check = |by: &[(&str, u8)]| {
        let lines: Vec<String> =
            by.iter().map(|(name, seed)| head.cosign(&format!("{name}.example"), &key(*seed), 5).expect("cosigned")).collect();
        let signed = head.sign(&key(200)).expect("signed").with_only(&log(), lines.iter().map(String::as_str)).expect("whole");
        policy.check(&signed, None, &[]).is_ok()
    };
    assert!(check(&[("X1", 11), ("X3", 13), ("Y2", 15)]));
    assert!(!check(&[("X1", 11), ("X2", 12), ("X3", 13)]));
    assert!(!check(&[("X1", 11), ("Y1", 14), ("Y2", 15)]));
    assert!(!check(&[("X1", 11), ("X1", 11), ("Y1", 14)]), "twice is once");
}

#[test]
fn what_is_no_policy_is_refused() {
    let (witness, log) = (vkey(3, "w", KeyKind::Cosignature), log());
    let define = format!("log {log}\nwitness w {witness}\n");
    for text in [
        String::new(),
        "quorum none".into(),
        "quorum x\n".into(),
        "quorum none\nquorum none\n".into(),
        "log x\nquorum none\n".into(),
        format!("log {witness}\nquorum none\n"),
        format!("witness w {log}\nquorum w\n"),
        format!("{define}{define}quorum w\n"),
        format!("{define}witness v {witness}\nquorum w\n"),
        format!("{define}group g 0 w\nquorum g\n"),
        format!("{define}group g 2 w\nquorum g\n"),
        format!("{define}group g any\nquorum g\n"),
        format!("{define}group g any g\nquorum g\n"),
        format!("{define}group g any w w\nquorum g\n"),
        format!("{define}group g 01 w\nquorum g\n"),
        format!("{define}group g any w\ngroup h any w\nquorum g\n"),
        format!("{define}group w any w\nquorum w\n"),
        format!("{define}witness none {witness}\nquorum none\n"),
        format!("{define}\rquorum w\n"),
        define.clone(),
        format!("quorum none\n{}", "#\n".repeat(40_000)),
    ] {
        assert_eq!(text.parse::<Policy>().expect_err(&text).code(), "E_LEDGER_POLICY");
    }
    assert!(format!("{define}quorum w\n").parse::<Policy>().is_ok());
    assert!("quorum none\n".parse::<Policy>().is_ok());
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s).{0,100}", lines in "((log|witness|group|quorum|all|any|w|1|none) ?){0,8}\n") {
        let _ = text.parse::<Policy>();
        let _ = lines.parse::<Policy>();
    }
}

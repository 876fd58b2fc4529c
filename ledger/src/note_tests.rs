use super::*;
use crate::signed::DASH;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    attempt: u32,
    word: String,
}

fn body() -> Body {
    Body { attempt: 1, word: "one \"line\"\nand — another".into() }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn note() -> String {
    sign("accept", "transport", &key(), &body()).expect("signed")
}

fn open_body(note: &str) -> Result<Body, NoteError> {
    open("accept", note, "transport", &key().verifying_key())
}

#[test]
fn signatures_are_as_other_implementations_make_them() {
    // The example of Go's golang.org/x/mod/sumdb/note.
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let line = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let seed = STANDARD.decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").expect("base64");
    let key = SigningKey::from_bytes(seed[1..].try_into().expect("32 bytes"));
    let note = format!("{text}\n{line}");
    let framed = Framed::parse(&note).expect("a note of two lines of text");
    assert_eq!((framed.text, framed.signature.name), (text, "PeterNeumann"));
    assert_eq!(signed::sign_line(text, "PeterNeumann", &key).expect("signed"), line.trim_end());
}

#[test]
fn a_note_reads_as_it_is_documented_and_opens() {
    let note = note();
    let lines: Vec<&str> = note.lines().collect();
    assert_eq!(lines[0], "tacit/accept/v1");
    assert_eq!(lines[1], r#"{"attempt":1,"word":"one \"line\"\nand — another"}"#);
    assert_eq!(lines[2], "");
    assert!(lines[3].starts_with("\u{2014} transport "));
    assert_eq!(lines.len(), 4);
    assert_eq!(open_body(&note), Ok(body()));
    assert_eq!(signer(&note), Ok("transport"));
    assert_eq!(kind(&note), Ok("accept"));
}

#[test]
fn another_kind_name_or_key_is_refused() {
    let note = note();
    let public = key().verifying_key();
    let other = SigningKey::from_bytes(&[8; 32]);
    assert_eq!(open::<Body>("refuse", &note, "transport", &public), Err(NoteError::Kind { expected: "refuse".into() }));
    assert_eq!(open::<Body>("accept", &note, "energy", &public), Err(NoteError::Signer { expected: "energy".into() }));
    let error = open::<Body>("accept", &note, "transport", &other.verifying_key());
    assert_eq!(error, Err(NoteError::Key { name: "transport".into() }));
}

#[test]
fn a_note_changed_anywhere_does_not_open() {
    let note = note();
    for at in 0..note.len() {
        for flip in [1, 0x20, 0x80] {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= flip;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(open_body(&changed).is_err(), "byte {at} ^ {flip}");
            }
        }
        if note.is_char_boundary(at) {
            assert!(open_body(&note[..at]).is_err(), "cut at {at}");
            assert!(open_body(&format!("{}\n{}", &note[..at], &note[at..])).is_err(), "newline at {at}");
        }
    }
    let line = note.lines().last().expect("a signature");
    for tail in ["\n", " ", "x", &format!("{line}\n"), "\u{2014} energy AAAA\n"] {
        assert!(open_body(&format!("{note}{tail}")).is_err(), "{tail:?}");
    }
    assert!(open_body(&note.replace('\n', "\r\n")).is_err());
}

#[test]
fn a_signed_body_must_be_canonical_and_have_its_fields() {
    let signed = |line: &str| {
        let text = format!("tacit/accept/v1\n{line}\n");
        let line = signed::sign_line(&text, "transport", &key()).expect("signed");
        format!("{text}\n{line}\n")
    };
    assert!(open_body(&signed(r#"{"attempt":1,"word":"x"}"#)).is_ok());
    assert_eq!(open_body(&signed(r#"{"word":"x","attempt":1}"#)), Err(NoteError::Json(JsonError::NotCanonical)));
    assert_eq!(open_body(&signed(r#"{"attempt":1,"attempt":1,"word":"x"}"#)), Err(NoteError::Json(JsonError::NotCanonical)));
    assert_eq!(open_body(&signed(r#"{"attempt":1.5,"word":"x"}"#)), Err(NoteError::Json(JsonError::Number)));
    let told = |line: &str| open_body(&signed(line)).expect_err("refused").to_string();
    assert!(told(r#"{"attempt":1}"#).contains("missing field `word`"));
    assert!(told(r#"{"attempt":1,"more":2,"word":"x"}"#).contains("unknown field `more`"));
    assert!(!told(r#"{"attempt":"classified","word":"x"}"#).contains("classified"));
}

#[test]
fn lengths_are_capped_both_ways() {
    let long = Body { attempt: 1, word: "x".repeat(MAX_NOTE) };
    assert_eq!(sign("accept", "transport", &key(), &long), Err(NoteError::TooLong));
    assert_eq!(open_body(&"x".repeat(MAX_NOTE + 1)), Err(NoteError::TooLong));
    let longest = Body { attempt: 1, word: "x".repeat(MAX_NOTE - 200) };
    let note = sign("accept", "transport", &key(), &longest).expect("fits");
    assert_eq!(open_body(&note), Ok(longest));
}

#[test]
fn words_that_would_break_the_format_are_not_signed() {
    for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b"] {
        assert!(sign("accept", name, &key(), &body()).is_err(), "{name:?}");
    }
    for kind in ["", "Accept", "a/b", "a\nb"] {
        assert!(sign(kind, "transport", &key(), &body()).is_err(), "{kind:?}");
    }
    assert!(sign("accept", "transport", &key(), &1.5).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s).*") {
        prop_assert!(open_body(&text).is_err());
        let _ = (signer(&text), kind(&text));
    }

    #[test]
    fn nothing_framed_like_a_note_panics(
        header in "[a-z/0-9]*", line in "(?s).*", name in "\\PC*", encoded in "[A-Za-z0-9+/]{0,100}={0,2}",
    ) {
        let note = format!("{header}\n{line}\n\n{DASH}{name} {encoded}\n");
        prop_assert!(open_body(&note).is_err());
    }

    #[test]
    fn whatever_is_signed_opens(word in "(?s).*", attempt in any::<u32>()) {
        let body = Body { attempt, word };
        let note = sign("accept", "transport", &key(), &body).expect("signed");
        prop_assert_eq!(open_body(&note), Ok(body));
    }
}

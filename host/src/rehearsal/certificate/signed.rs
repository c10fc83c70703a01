//! The file of a certificate: the certificate, its signature, and by whose key.
//!
//! What is signed is the certificate as compact JSON, written by this program. A file is therefore read into types and written again:
//! nothing but white space may differ from what was read, so that two readers can never see two things in one signed file.

use serde::{Deserialize, Serialize};

use super::{
    keys::{PublicKey, SigningKey},
    record::{Certificate, FORMAT},
    refusal::Refusal,
};

/// A certificate of a hundred thousand migrations has less.
pub const BYTES_MAX: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    certificate: Certificate,
    signature: String,
    key: String,
}

/// What is looked at before anything else, whatever the rest is.
#[derive(Deserialize)]
struct Outline {
    certificate: Versioned,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    key: Option<String>,
}

#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

/// The file of a certificate, signed.
pub fn sign(certificate: &Certificate, key: &SigningKey) -> String {
    let signed = Signed {
        certificate: certificate.clone(),
        signature: key.sign(compact(certificate).as_bytes()),
        key: key.public().to_string(),
    };
    serde_json::to_string_pretty(&signed).expect("a certificate is plain data") + "\n"
}

/// Reads the file of a certificate that one of these keys has signed, and that says exactly what it said then.
///
/// # Errors
/// Why it does not count.
pub fn open(bytes: &[u8], trusted: &[PublicKey]) -> Result<Certificate, Refusal> {
    let malformed = |e: serde_json::Error| Refusal::Malformed(e.to_string());
    let outline: Outline = serde_json::from_slice(bytes).map_err(malformed)?;
    if outline.certificate.format != FORMAT {
        return Err(Refusal::OtherFormat(outline.certificate.format));
    }
    let (Some(_), Some(key)) = (outline.signature.filter(|s| !s.is_empty()), outline.key.filter(|k| !k.is_empty()))
    else {
        return Err(Refusal::Unsigned);
    };
    let Some(trusted) = trusted.iter().find(|trusted| trusted.to_string() == key) else {
        return Err(Refusal::UnknownKey(key));
    };
    let signed: Signed = serde_json::from_slice(bytes).map_err(malformed)?;
    let same = without_space(bytes) == compact(&signed).as_bytes();
    if !same || !trusted.verifies(compact(&signed.certificate).as_bytes(), &signed.signature) {
        return Err(Refusal::Edited);
    }
    Ok(signed.certificate)
}

fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a certificate is plain data")
}

/// JSON without the white space that means nothing.
fn without_space(json: &[u8]) -> Vec<u8> {
    let (mut within, mut escaped) = (false, false);
    let mut kept = Vec::with_capacity(json.len());
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if within => escaped = true,
            b'"' => within = !within,
            b' ' | b'\t' | b'\n' | b'\r' if !within => continue,
            _ => {}
        }
        kept.push(*byte);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{super::keys::tests::key, *};
    use crate::rehearsal::certificate::check::tests::certificate;

    #[test]
    fn what_is_signed_is_read_again() {
        let key = key();
        let text = sign(&certificate(), &key);
        assert!(text.ends_with("}\n"));
        let others = [super::super::keys::tests::key().public(), key.public()];
        assert_eq!(open(text.as_bytes(), &others).unwrap(), certificate());
        let tight = serde_json::from_str::<serde_json::Value>(&text).unwrap();
        let order = compact(&serde_json::from_str::<Signed>(&text).unwrap());
        assert_eq!(open(order.as_bytes(), &others).unwrap(), certificate(), "white space means nothing");
        assert_eq!(open(format!("\n\t {order}\r\n").as_bytes(), &others).unwrap(), certificate());
        assert!(tight["certificate"]["passed"] == true);
    }

    #[test]
    fn a_stranger_an_edit_and_a_missing_signature_have_their_own_reasons() {
        let (ours, theirs) = (key(), key());
        let text = sign(&certificate(), &ours);
        let refused = |text: &str| open(text.as_bytes(), &[ours.public()]).unwrap_err();
        assert_eq!(refused(&sign(&certificate(), &theirs)), Refusal::UnknownKey(theirs.public().to_string()));
        assert_eq!(refused(&text.replace("\"passed\": true", "\"passed\": false")), Refusal::Edited);
        let borrowed = sign(&certificate(), &theirs).replace(&theirs.public().to_string(), &ours.public().to_string());
        assert_eq!(refused(&borrowed), Refusal::Edited, "a known key's name does not make it that key's");
        let signed: Signed = serde_json::from_str(&text).unwrap();
        let bare = format!("{{\"certificate\":{}}}", compact(&signed.certificate));
        assert_eq!(refused(&bare), Refusal::Unsigned);
        assert_eq!(refused(&text.replace(&signed.signature, "")), Refusal::Unsigned);
        assert_eq!(refused(&text.replace("\"format\": 1", "\"format\": 2")), Refusal::OtherFormat(2));
        assert!(matches!(refused("{}"), Refusal::Malformed(_)));
        assert!(matches!(refused(""), Refusal::Malformed(_)));
        // What a lenient reader would pass over.
        let doubled = text.replace("\"passed\": true", "\"passed\": false,\n    \"passed\": true");
        let more = text.replace("\"passed\": true", "\"passed\": true,\n    \"more\": 1");
        for text in [doubled, more] {
            assert!(matches!(refused(&text), Refusal::Malformed(_)), "{text}");
        }
        assert_eq!(refused(&text.replace("\"name\": \"001_a\"", "\"name\": \"001_\\u0061\"")), Refusal::Edited);
    }

    #[test]
    fn every_edit_of_a_byte_is_white_space_or_refused() {
        let key = key();
        let text = sign(&certificate(), &key).into_bytes();
        let mut random = fastrand::Rng::with_seed(7);
        let (mut harmless, mut refused) = (0_u32, 0_u32);
        let mut try_it = |edited: &[u8]| match open(edited, &[key.public()]) {
            Ok(read) => {
                assert_eq!(read, certificate());
                assert_eq!(without_space(edited), without_space(&text), "{}", String::from_utf8_lossy(edited));
                harmless += 1;
            }
            Err(_) => refused += 1,
        };
        for at in 0..text.len() {
            // A bit of it, its case, any byte in its stead; one more, one less.
            for byte in [text[at] ^ 1 << random.u8(0..8), text[at] ^ 0x20, random.u8(..), b' '] {
                let mut edited = text.clone();
                edited[at] = byte;
                if byte != text[at] {
                    try_it(&edited);
                }
                edited[at] = text[at];
                edited.insert(at, byte);
                try_it(&edited);
            }
            let mut edited = text.clone();
            edited.remove(at);
            try_it(&edited);
        }
        assert!(harmless > 100 && refused > 5_000, "both happen: {harmless} and {refused}");
    }
}

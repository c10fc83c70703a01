//! Looks for secrets in what a run leaves, in every form that they could have there.

/// What must never be seen, by what it is.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    /// One more. It is long enough not to be met by chance, and holds no more than one line.
    #[must_use]
    pub fn and(mut self, what: &'static str, secret: impl Into<String>) -> Self {
        let secret = secret.into();
        assert!(secret.len() >= 8 && !secret.contains('\n'), "{what} is no secret to look for");
        self.0.push((what, secret));
        self
    }

    /// Which are in there, and in which form.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<String> {
        let holds = |form: &str| bytes.windows(form.len()).any(|part| part == form.as_bytes());
        let found = self.0.iter().flat_map(|(what, secret)| {
            forms(secret).into_iter().filter(|(_, form)| holds(form)).map(move |(kind, _)| format!("{what}, {kind}"))
        });
        found.collect()
    }

    /// Claims that none is in there.
    #[track_caller]
    pub fn are_not_in(&self, what: &str, bytes: &[u8]) {
        let found = self.found_in(bytes);
        assert!(found.is_empty(), "{what} holds {}:\n{}", found.join("; "), String::from_utf8_lossy(bytes));
    }
}

fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let hex = |upper: bool| {
        bytes.iter().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect::<String>()
    };
    let percent = |plain: &dyn Fn(u8) -> bool| {
        let one = |b: &u8| if plain(*b) { char::from(*b).to_string() } else { format!("%{b:02X}") };
        bytes.iter().map(one).collect::<String>()
    };
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let mut forms = vec![
        ("as it is", secret.to_owned()),
        ("as Rust or JSON quotes it", format!("{secret:?}").trim_matches('"').to_owned()),
        ("in hexadecimal", hex(false)),
        ("in hexadecimal", hex(true)),
        ("percent-encoded", percent(&unreserved)),
        ("percent-encoded all of it", percent(&|_| false)),
    ];
    // What stands before it shifts it by no, one or two bytes; the characters that it shares with its neighbours are left out.
    for shift in 0..3 {
        let encoded = base64(&[&b"\0\0"[..shift], bytes].concat());
        let whole = (shift + bytes.len()) / 3 * 4;
        let inner = encoded[shift.div_ceil(3) * 4..whole].to_owned();
        forms.push(("in base64", inner.clone()));
        forms.push(("in base64 for URLs", inner.replace('+', "-").replace('/', "_")));
    }
    forms
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, i| bits << 8 | u32::from(part.get(i).copied().unwrap_or_default()));
        for i in 0..=part.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize]));
        }
    }
    text
}

//! The keys of certificates: Ed25519, as OpenSSL writes them.
//!
//! Source: RFC 8410 (the forms of the keys), RFC 7468 (PEM).

use std::{fmt, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject};

use crate::{
    error::{Error, Result},
    files::{self, refuse_shared},
};

/// A key has about a hundred bytes; its file may have words around it.
const FILE_BYTES_MAX: u64 = 65_536;

/// What every Ed25519 key in a `SubjectPublicKeyInfo` begins with: a sequence of the algorithm 1.3.101.112 and a bit string of 32 bytes.
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const MAKE: &str = "name a file that `openssl genpkey -algorithm ed25519` has written";
const DERIVE: &str = "name a file that `openssl pkey -in rehearsal.key -pubout` has written";

/// The private key that certificates are signed with. It never prints.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Reads a PEM file: PKCS #8, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// [`Error::Configuration`] when it cannot be read, holds no such key, or can be read by others.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |what: &str| Error::configuration(format!("the signing key `{}`: {what}", path.display()), MAKE);
        refuse_shared("the signing key", path)?;
        let pem = files::read(path, FILE_BYTES_MAX, "of a key").map_err(|why| wrong(&why))?;
        // The libraries' own words are left out: they may quote what they have read.
        let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| wrong("it holds no private key in PEM"))?;
        Self::of_pkcs8(der.secret_pkcs8_der()).ok_or_else(|| wrong("its private key is none of Ed25519"))
    }

    /// A key in PKCS #8; OpenSSL leaves the public half out of it, others put it in. `None` where it is no such key.
    pub fn of_pkcs8(der: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Self)
    }

    /// The half that may be known.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// The signature of a message, in base64.
    pub(super) fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(self.0.sign(message).as_ref())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the private key of {}", self.public())
    }
}

/// A key that certificates are checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads a PEM file as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`Error::Configuration`] when it cannot be read, or holds no such key.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |what: &str| Error::configuration(format!("the trusted key `{}`: {what}", path.display()), DERIVE);
        let pem = files::read(path, FILE_BYTES_MAX, "of a key").map_err(|why| wrong(&why))?;
        let der = match SubjectPublicKeyInfoDer::from_pem_slice(&pem) {
            Ok(der) => der,
            Err(_) if PrivatePkcs8KeyDer::from_pem_slice(&pem).is_ok() => {
                return Err(wrong("it holds a private key, which only the machine that rehearses needs"));
            }
            Err(_) => return Err(wrong("it holds no public key in PEM")),
        };
        let bytes = der.strip_prefix(&PREFIX).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| wrong("its key is none of Ed25519"))
    }

    /// Whether a text in base64 is this key's signature of a message.
    pub(super) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    /// 44 characters of base64: what the line in the key's PEM file ends with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

    use ring::rand::SystemRandom;

    use super::*;

    /// A new key.
    pub fn key() -> SigningKey {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        SigningKey::of_pkcs8(pkcs8.as_ref()).unwrap()
    }

    fn openssl(folder: &Path, arguments: &str) {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        path
    }

    #[test]
    fn keys_of_openssl_sign_and_verify() {
        let folder = tempfile::tempdir().unwrap();
        openssl(folder.path(), "genpkey -algorithm ed25519 -out rehearsal.key");
        openssl(folder.path(), "pkey -in rehearsal.key -pubout -out rehearsal.pub");
        let private = folder.path().join("rehearsal.key");
        set_mode(&private, 0o600);
        let (private, public) = (SigningKey::read(&private).unwrap(), folder.path().join("rehearsal.pub"));
        let shown = private.public().to_string();
        assert!(fs::read_to_string(&public).unwrap().contains(&format!("{shown}\n")), "a person can compare them");
        let public = PublicKey::read(&public).unwrap();
        assert_eq!(private.public(), public);
        let signature = private.sign(b"what was rehearsed");
        assert!(public.verifies(b"what was rehearsed", &signature));
        assert!(!public.verifies(b"what was rehearsef", &signature));
        assert!(!key().public().verifies(b"what was rehearsed", &signature));
        fs::write(folder.path().join("message"), "what was rehearsed").unwrap();
        fs::write(folder.path().join("signature"), STANDARD.decode(signature).unwrap()).unwrap();
        openssl(folder.path(), "pkeyutl -verify -pubin -inkey rehearsal.pub -rawin -in message -sigfile signature");
    }

    #[test]
    fn a_private_key_is_never_shown_and_never_shared() {
        let folder = tempfile::tempdir().unwrap();
        openssl(folder.path(), "genpkey -algorithm ed25519 -out shared.key");
        let path = folder.path().join("shared.key");
        let pem = fs::read_to_string(&path).unwrap();
        let secret = pem.lines().nth(1).unwrap();
        for mode in [0o644, 0o604, 0o620] {
            set_mode(&path, mode);
            let text = SigningKey::read(&path).err().unwrap().to_string();
            assert!(text.contains(&format!("{mode:o}")) && text.contains("chmod 600"), "{text}");
        }
        let half = written(folder.path(), "half.key", &pem.replace(secret, &secret[..40]));
        for path in [&half, &written(folder.path(), "bare.key", secret)] {
            let text = SigningKey::read(path).err().unwrap().to_string();
            assert!(text.contains("private key") && !text.contains(&secret[..40]), "{text}");
        }
        set_mode(&path, 0o600);
        let shown = format!("{:?}", SigningKey::read(&path).unwrap());
        assert!(!shown.contains(&secret[22..]) && shown.starts_with("the private key of "), "{shown}");
        let text = PublicKey::read(&path).unwrap_err().to_string();
        assert!(text.contains("it holds a private key") && !text.contains(secret), "{text}");
    }

    #[test]
    fn other_keys_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        openssl(folder.path(), "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.key");
        openssl(folder.path(), "pkey -in ec.key -pubout -out ec.pub");
        set_mode(&folder.path().join("ec.key"), 0o600);
        let text = SigningKey::read(&folder.path().join("ec.key")).err().unwrap().to_string();
        assert!(text.contains("none of Ed25519") && text.contains("openssl genpkey"), "{text}");
        let text = PublicKey::read(&folder.path().join("ec.pub")).unwrap_err().to_string();
        assert!(text.contains("none of Ed25519") && text.contains("-pubout"), "{text}");
        let text = PublicKey::read(&folder.path().join("none.pub")).unwrap_err().to_string();
        assert!(text.contains("none.pub") && text.contains("cannot be read"), "{text}");
    }
}

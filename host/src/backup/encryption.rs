//! Encryption with `age`: a public key is enough to take a backup; only who has the private one can read it.
//!
//! Source: the age format, <https://age-encryption.org/v1>.

use std::{
    fs,
    io::{self, BufReader, Read, Write},
    path::Path,
};

use age::{
    Decryptor, Encryptor, IdentityFile,
    stream::StreamWriter,
    x25519::{Identity, Recipient},
};

use crate::{
    error::{Error, Result},
    files::refuse_shared,
};

/// For whom a backup is encrypted.
#[derive(Clone)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// Public keys, as `age-keygen` prints them.
    ///
    /// # Errors
    /// [`Error::Configuration`] for a text that is none.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let parse = |text: &String| {
            // Whoever mixed up the two must not find the private one in a log.
            let shown =
                if text.to_ascii_uppercase().starts_with("AGE-SECRET") { "a private key" } else { text.as_str() };
            text.trim().parse().map_err(|e| {
                Error::configuration(
                    format!("[backup] recipients: `{shown}` is no public key of age: {e}"),
                    "write what `age-keygen -y` prints, as in `age1…`",
                )
            })
        };
        texts.iter().map(parse).collect::<Result<_>>().map(Self)
    }

    /// Whether there is nobody to encrypt for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Encrypts what is written, also for this identity. [`StreamWriter::finish`] ends it.
    pub fn encrypt<W: Write>(&self, witness: &Identities, output: W) -> io::Result<StreamWriter<W>> {
        let witnesses: Vec<Recipient> = witness.public();
        let all = self.0.iter().chain(&witnesses).map(|recipient| recipient as &dyn age::Recipient);
        Encryptor::with_recipients(all).map_err(io::Error::other)?.wrap_output(output)
    }
}

/// The private keys that backups can be read with.
#[derive(Default)]
pub struct Identities {
    keys: Vec<Box<dyn age::Identity + Send + Sync>>,
    witness: Option<Identity>,
}

impl Identities {
    /// A key of this process's own, which is never kept. A backup is encrypted for it as well, so that what was written can be read back
    /// whole without the operator's private key, and is as unreadable as before once the process has ended.
    pub fn witness() -> Self {
        Self { keys: Vec::new(), witness: Some(Identity::generate()) }
    }

    /// A file as `age-keygen` writes it.
    ///
    /// # Errors
    /// [`Error::Configuration`] when it cannot be read, holds no key, or can be read by others.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |what: String| {
            Error::configuration(
                format!("the identity `{}`: {what}", path.display()),
                "name a file that `age-keygen` has written",
            )
        };
        refuse_shared("the identity", path)?;
        let file = fs::File::open(path).map_err(|e| wrong(format!("it cannot be read: {e}")))?;
        // The library's own words may quote the line.
        let file = IdentityFile::from_buffer(BufReader::new(file))
            .map_err(|_| wrong("it holds no private key of age".into()))?;
        let keys = file.into_identities().map_err(|e| wrong(e.to_string()))?;
        if keys.is_empty() {
            return Err(wrong("it holds no private key of age".into()));
        }
        Ok(Self { keys, witness: None })
    }

    /// True when nothing can be decrypted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.witness.is_none()
    }

    fn public(&self) -> Vec<Recipient> {
        self.witness.iter().map(Identity::to_public).collect()
    }

    /// Decrypts what is read. A piece of it is authentic; that nothing is missing is known at its end.
    pub fn decrypt<R: Read>(&self, input: R) -> io::Result<impl Read + use<R>> {
        let keys = self.keys.iter().map(|key| key.as_ref() as &dyn age::Identity);
        let witness = self.witness.iter().map(|key| key as &dyn age::Identity);
        let decryptor = Decryptor::new(input).map_err(io::Error::other)?;
        decryptor.decrypt(keys.chain(witness)).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encrypted(recipients: &Recipients, witness: &Identities) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = recipients.encrypt(witness, &mut bytes).unwrap();
        writer.write_all(&[7; 200_000]).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn decrypts(identities: &Identities, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        identities.decrypt(bytes)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    fn written(folder: &Path, text: &str, mode: u32) -> std::path::PathBuf {
        use std::os::unix::fs::OpenOptionsExt;
        let path = folder.join(format!("{mode:o}"));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    #[test]
    fn the_recipient_and_the_witness_can_read_it_and_nobody_else() {
        use age::secrecy::ExposeSecret;
        let folder = tempfile::tempdir().unwrap();
        let key = Identity::generate();
        let recipients = Recipients::parse(&[key.to_public().to_string()]).unwrap();
        let witness = Identities::witness();
        let bytes = encrypted(&recipients, &witness);
        let identity = Identities::read(&written(folder.path(), key.to_string().expose_secret(), 0o600)).unwrap();
        for reader in [&identity, &witness] {
            assert_eq!(decrypts(reader, &bytes).unwrap(), [7; 200_000]);
        }
        for stranger in [Identities::witness(), Identities::default()] {
            assert!(decrypts(&stranger, &bytes).is_err());
        }
        assert!(decrypts(&identity, &bytes[..bytes.len() - 1]).is_err());
        // A whole chunk less.
        assert!(decrypts(&identity, &bytes[..bytes.len() - (200_000 % 65_536) - 16]).is_err());
    }

    #[test]
    fn a_private_key_is_never_shown_and_never_shared() {
        use age::secrecy::ExposeSecret;
        let folder = tempfile::tempdir().unwrap();
        let secret = Identity::generate().to_string();
        let text = Recipients::parse(&[secret.expose_secret().to_owned()]).err().unwrap().to_string();
        assert!(!text.contains(secret.expose_secret()) && text.contains("a private key"), "{text}");
        let shared = written(folder.path(), secret.expose_secret(), 0o644);
        let text = Identities::read(&shared).err().unwrap().to_string();
        assert!(text.contains("644") && text.contains("chmod 600"), "{text}");
        let half = written(folder.path(), &secret.expose_secret()[..40], 0o600);
        let text = Identities::read(&half).err().unwrap().to_string();
        assert!(text.contains("no private key") && !text.contains(&secret.expose_secret()[..40]), "{text}");
    }
}

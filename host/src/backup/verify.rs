//! Whether the files of a backup are what was written: levels 0 and 1. Levels 2 and 3 restore it: see `scratch.rs`.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use super::{
    Catalog, Level,
    catalog::off_the_runtime,
    child,
    coding::{Decoder, compare_raw},
    encryption::Identities,
    folder,
    manifest::{Content, Encoding, Manifest, Part},
    meter::Meter,
    store::Store,
    tools,
};
use crate::{
    config::Config,
    error::{Error, NOTHING_CHANGED, Result},
};

/// The private keys that a backup is read with, if it needs any.
///
/// # Errors
/// [`Error::Configuration`] when it is encrypted and no file of keys is named, or that file is of no use.
pub fn identities(manifest: &Manifest, file: Option<&Path>) -> Result<Identities> {
    match file {
        _ if !manifest.is_encrypted() => Ok(Identities::default()),
        Some(file) => Identities::read(file),
        None => Err(Error::configuration(
            format!("backup `{}` is encrypted, and no private key is named", manifest.id),
            "name the file with `--identity FILE` or `identity` under [backup] in lockgate.toml",
        )),
    }
}

/// Proves a backup up to level 0 or 1, telling how far it is.
///
/// # Errors
/// [`Error::Backup`], with which file is not as the manifest says; [`Error::Configuration`] when it cannot be decrypted.
pub async fn prove(catalog: &Catalog, config: &Config, manifest: &Manifest, level: Level) -> Result<()> {
    let keys = match level {
        Level::Digest => Identities::default(),
        _ => identities(manifest, config.backup.identity.as_deref())?,
    };
    let (meter, stop) = (Meter::default(), config.stop.clone());
    let work = {
        let (store, manifest, meter) = (Arc::clone(catalog.store()), manifest.clone(), meter.clone());
        off_the_runtime(move || {
            Ok(manifest.parts.iter().try_for_each(|part| {
                let open = || Ok(Box::new(meter.read(store.read(&part.file)?, &stop)) as Box<dyn Read + Send>);
                file(&open, part, level, &keys)
            }))
        })
    };
    let mut checked = meter.tell("verifying the backup", manifest.bytes(), config.draw, work).await?;
    if checked.is_ok() && level != Level::Digest {
        checked = decode_folder(catalog, config, manifest).await;
    }
    checked.map_err(|cause| Error::Backup {
        what: format!("backup `{}` is not as it was written", manifest.id),
        cause,
        state: NOTHING_CHANGED.into(),
        next: "restore from another one (`lockgate backup list`), and take a new one".into(),
    })
}

/// Checks a backup that was proved when it was taken once more: up to level 1 where that can be, without the private key up to level 0.
///
/// # Errors
/// When the keys cannot be read. The inner result tells what is wrong with the backup.
pub async fn again(catalog: &Catalog, config: &Config, manifest: &Manifest) -> Result<Result<(), String>> {
    let settings = &config.backup;
    let readable = !manifest.is_encrypted() || settings.identity.is_some();
    let level = if readable { Level::Decoded.min(settings.verify_level) } else { Level::Digest };
    let keys = match readable {
        true => identities(manifest, settings.identity.as_deref())?,
        false => Identities::default(),
    };
    let (store, files_of) = (Arc::clone(catalog.store()), manifest.clone());
    let checked = off_the_runtime(move || Ok(files(&store, &files_of, level, &keys))).await?;
    match level {
        Level::Digest => Ok(checked),
        _ if checked.is_err() => Ok(checked),
        _ => Ok(decode_folder(catalog, config, manifest).await),
    }
}

/// Decodes the folder that `pg_dump` has written, if the backup has one: its files by themselves tell only whether they are what was written.
async fn decode_folder(catalog: &Catalog, config: &Config, manifest: &Manifest) -> Result<(), String> {
    let part = manifest.parts.iter().find(|part| part.content == Content::DumpDirectory);
    let Some(name) = part.and_then(|part| part.file.split('/').next()) else { return Ok(()) };
    let Some(folder) = catalog.store().folder().map(|folder| folder.join(name)) else {
        return Err(format!("`{name}` cannot be decoded where it is: it must be in a folder of this machine"));
    };
    let major = manifest.pg_dump_major;
    let tools = tools::find(config.pg_bin.as_deref(), major)
        .map_err(|_| format!("`{name}` cannot be decoded without the `pg_restore` of PostgreSQL {major} or newer"))?;
    child::supervise(&config.stop, move |started| folder::decode(&tools.restore, &folder, started)).await
}

/// Checks every file of a backup.
///
/// # Errors
/// Which one is not as the manifest says, and how.
pub fn files(store: &Arc<dyn Store>, manifest: &Manifest, level: Level, identities: &Identities) -> Result<(), String> {
    manifest.parts.iter().try_for_each(|part| file(&|| store.read(&part.file), part, level, identities))
}

/// Checks one file, which `open` opens.
///
/// # Errors
/// As [`files`].
pub fn file(
    open: &dyn Fn() -> io::Result<Box<dyn Read + Send>>,
    part: &Part,
    level: Level,
    identities: &Identities,
) -> Result<(), String> {
    let damaged = |what: String| format!("{} `{}` is damaged: {what}", part.content.as_str(), part.file);
    let opened = || open().map_err(|e| format!("{} `{}` cannot be opened: {e}", part.content.as_str(), part.file));
    if level == Level::Digest || part.encoding == Encoding::None {
        return compare_raw(opened()?, part).map_err(damaged);
    }
    let decoded = Decoder::new(opened()?, part, identities).and_then(|mut decoder| {
        io::copy(&mut decoder, &mut io::sink())?;
        Ok(decoder)
    });
    match decoded {
        Ok(decoder) => decoder.finish(part).map_err(damaged),
        // What cannot be decoded is most likely no longer what was written.
        Err(error) => {
            compare_raw(opened()?, part).map_err(damaged)?;
            Err(format!("{} `{}` cannot be decoded: {error}", part.content.as_str(), part.file))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;
    use crate::backup::{
        coding::{Encoded, Encoder},
        encryption::Recipients,
        manifest::Content,
        store::Local,
    };

    /// A file of a store, as a backup writes it.
    fn written(folder: &Path, recipients: &[String], witness: &Arc<Identities>, bytes: &[u8]) -> Part {
        let store = Local::new(folder.to_owned());
        let recipients = Recipients::parse(recipients).unwrap();
        let encoding = if recipients.is_empty() { Encoding::Zstd } else { Encoding::ZstdAge };
        let upload = store.create("a.dump", 0).unwrap();
        let mut encoder = Encoder::new(upload, &recipients, witness).unwrap();
        encoder.write_all(bytes).unwrap();
        let Encoded { upload, raw, plain } = encoder.finish().unwrap();
        upload.publish().unwrap();
        Part {
            content: Content::Dump,
            file: "a.dump".into(),
            encoding,
            bytes: raw.0,
            sha256: raw.1,
            plain_bytes: plain.0,
            plain_sha256: plain.1,
        }
    }

    fn dump() -> Vec<u8> {
        (0..4000u32).flat_map(|i| (i * i).to_le_bytes()).collect()
    }

    #[test]
    fn every_bit_flip_and_truncation_is_found_encrypted_or_not() {
        let witness = Arc::new(Identities::witness());
        let somebody = age::x25519::Identity::generate().to_public().to_string();
        for recipients in [vec![], vec![somebody]] {
            let folder = tempfile::tempdir().unwrap();
            let part = written(folder.path(), &recipients, &witness, &dump());
            let path = folder.path().join("a.dump");
            let check = |level| file(&|| Ok(Box::new(fs::File::open(&path)?)), &part, level, &witness);
            let good = fs::read(&path).unwrap();
            for level in [Level::Digest, Level::Decoded] {
                fs::write(&path, &good).unwrap();
                assert_eq!(check(level), Ok(()));
                for i in (0..good.len()).step_by(97) {
                    let mut bad = good.clone();
                    bad[i] ^= 1 << (i % 8);
                    fs::write(&path, &bad).unwrap();
                    let error = check(level).unwrap_err();
                    assert!(
                        error.contains("the dump `a.dump` is damaged: its SHA-256 differs"),
                        "flip at {i}: {error}"
                    );
                    fs::write(&path, &good[..i]).unwrap();
                    let error = check(level).unwrap_err();
                    assert!(error.contains(&format!("it has {i} bytes, the manifest says")), "cut at {i}: {error}");
                }
                fs::write(&path, [good.as_slice(), b"x"].concat()).unwrap();
                assert!(check(level).is_err(), "something appended");
            }
        }
    }

    #[test]
    fn the_manifest_of_another_dump_does_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let none = Arc::new(Identities::default());
        let part = written(folder.path(), &[], &none, &dump());
        let path = folder.path().join("a.dump");
        let other = Part { plain_sha256: "00".into(), ..part };
        let check = |level| file(&|| Ok(Box::new(fs::File::open(&path)?)), &other, level, &none);
        assert_eq!(check(Level::Digest), Ok(()));
        assert!(check(Level::Decoded).unwrap_err().contains("decodes to something else"));
    }

    #[test]
    fn what_is_encrypted_for_somebody_else_is_not_called_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let somebody = age::x25519::Identity::generate().to_public().to_string();
        let part = written(folder.path(), &[somebody], &Arc::new(Identities::witness()), &dump());
        let path = folder.path().join("a.dump");
        let check = |level| file(&|| Ok(Box::new(fs::File::open(&path)?)), &part, level, &Identities::witness());
        assert_eq!(check(Level::Digest), Ok(()));
        assert!(check(Level::Decoded).unwrap_err().contains("cannot be decoded"));
    }
}

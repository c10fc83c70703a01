//! What every store of backups promises, claimed of each: a folder, and a bucket of an S3 server.

use std::{
    io::{ErrorKind, Read},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use lockgate::backup::store::{Entry, Held, LEASE, Local, Over, PARTIAL, Store, Upload};
use lockgate_tests::{S3Server, make_old};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// Where a store keeps things, seen from behind it.
enum Place {
    Folder(TempDir),
    Bucket(S3Server),
}

impl Place {
    /// All that is there, as whoever pays for it sees it.
    fn left(&self) -> Vec<String> {
        match self {
            Self::Folder(folder) => files(&folder.path().join("kept")),
            Self::Bucket(server) => {
                let unfinished = std::iter::repeat_n("an unfinished upload".to_owned(), server.unfinished());
                server.keys().into_iter().chain(unfinished).collect()
            }
        }
    }

    /// Puts something there that is none of Lockgate's.
    fn plant(&self, path: &str) {
        match self {
            Self::Folder(folder) => {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, b"foreign").unwrap();
            }
            Self::Bucket(server) => server.plant(path, b"foreign"),
        }
    }
}

impl Place {
    /// Makes a file one that was written two hours ago.
    fn make_old(&self, name: &str) {
        match self {
            Self::Folder(folder) => make_old(&folder.path().join("kept").join(name)),
            Self::Bucket(server) => make_old(&server.path(&format!("kept/{name}"))),
        }
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".gitignore").collect()
}

/// Each kind of store, empty and never written to.
fn each() -> Vec<(Place, Arc<dyn Store>)> {
    let folder = tempfile::tempdir().unwrap();
    let local = Local::new(folder.path().join("kept"));
    let server = S3Server::start();
    let bucket = server.store("kept");
    vec![(Place::Folder(folder), Arc::new(local)), (Place::Bucket(server), Arc::new(bucket))]
}

/// Bytes that no part of repeats another.
fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    fastrand::Rng::with_seed(7).fill(&mut noise);
    noise
}

fn write(upload: &mut dyn Upload, bytes: &[u8]) {
    // As an encoder does: pieces of no particular size.
    bytes.chunks(131_077).for_each(|piece| upload.write_all(piece).unwrap());
}

fn written(store: &dyn Store, name: &str, bytes: &[u8]) {
    let mut upload = store.create(name, bytes.len() as u64).unwrap();
    write(upload.as_mut(), bytes);
    upload.finish().unwrap();
    upload.publish().unwrap();
}

fn read(store: &dyn Store, name: &str) -> Result<Vec<u8>, ErrorKind> {
    whole(store.read(name).map_err(|e| e.kind())?)
}

fn whole(mut file: Box<dyn Read + Send>) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|e| e.kind())?;
    Ok(bytes)
}

/// The names of what is complete, in order.
fn names(store: &dyn Store) -> Vec<String> {
    let mut names: Vec<_> = store.entries().unwrap().into_iter().map(|entry| entry.name).collect();
    names.retain(|name| !name.ends_with(PARTIAL));
    names.sort();
    names
}

#[test]
fn what_is_written_in_pieces_is_read_back_whole() {
    for (_place, store) in each() {
        // One part of an object, its border, and several.
        for (name, size) in [("none", 0), ("one", 1), ("part", 8 * MIB), ("more", 8 * MIB + 1), ("several", 40 * MIB)] {
            let bytes = noise(size);
            let mut upload = store.create(name, 0).unwrap();
            write(upload.as_mut(), &bytes);
            upload.finish().unwrap();
            assert!(whole(upload.read_back().unwrap()).unwrap() == bytes, "{store:?}: {name} is read back");
            upload.publish().unwrap();
            assert!(read(store.as_ref(), name).unwrap() == bytes, "{store:?}: {name} is read");
        }
    }
}

#[test]
fn nobody_sees_a_file_under_its_name_before_it_is_finished() {
    for (place, store) in each() {
        for (name, bytes) in [("small", noise(10)), ("large", noise(20 * MIB))] {
            let before = names(store.as_ref());
            let mut upload = store.create(name, bytes.len() as u64).unwrap();
            write(upload.as_mut(), &bytes);
            assert_eq!(names(store.as_ref()), before, "{store:?}");
            assert_eq!(read(store.as_ref(), name), Err(ErrorKind::NotFound), "{store:?}");
            upload.finish().unwrap();
            if let Place::Folder(_) = place {
                assert_eq!(names(store.as_ref()), before, "a folder can rename");
            }
            upload.publish().unwrap();
            assert!(names(store.as_ref()).contains(&name.to_owned()), "{store:?}");
        }
        assert_eq!(place.left().len(), 2, "{store:?}");
    }
}

#[test]
fn an_upload_that_is_dropped_leaves_nothing() {
    for (place, store) in each() {
        for size in [0, 10, 20 * MIB] {
            let mut upload = store.create("a", 0).unwrap();
            write(upload.as_mut(), &noise(size));
            drop(upload);
            assert_eq!(place.left(), Vec::<String>::new(), "{store:?}: {size} bytes, unfinished");

            let mut upload = store.create("a", 0).unwrap();
            write(upload.as_mut(), &noise(size));
            upload.finish().unwrap();
            drop(upload);
            assert_eq!(place.left(), Vec::<String>::new(), "{store:?}: {size} bytes, finished");
        }
    }
}

#[tokio::test]
async fn an_upload_may_be_dropped_in_the_middle_of_asynchronous_code() {
    for (place, store) in each() {
        let mut upload = store.create("a", 0).unwrap();
        write(upload.as_mut(), &noise(20 * MIB));
        tokio::task::yield_now().await;
        drop(upload);
        assert_eq!(place.left(), Vec::<String>::new(), "{store:?}");
    }
}

#[test]
fn a_process_that_ends_in_the_middle_leaves_nothing_that_looks_complete() {
    for (_place, store) in each() {
        for (name, size) in [("small", 10), ("large", 20 * MIB)] {
            let mut upload = store.create(name, 0).unwrap();
            write(upload.as_mut(), &noise(size));
            // Nothing is cleaned up.
            std::mem::forget(upload);
            assert_eq!(names(store.as_ref()), Vec::<String>::new(), "{store:?}");
            assert_eq!(read(store.as_ref(), name), Err(ErrorKind::NotFound), "{store:?}");
        }
        written(store.as_ref(), "next", b"next");
        assert_eq!(names(store.as_ref()), ["next"], "{store:?}");
    }
}

#[test]
fn a_name_is_given_once() {
    for (_place, store) in each() {
        written(store.as_ref(), "a", b"first");
        let refused = store.create("a", 0).err().expect("there is one of that name");
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{store:?}: {refused}");
        for bytes in [b"other", b"first"] {
            let refused = store.put("a", bytes, Over::Nothing).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{store:?}: {refused}");
        }
        assert_eq!(read(store.as_ref(), "a").unwrap(), b"first", "{store:?}");
    }
}

#[test]
fn a_small_file_is_written_whole_and_replaced_when_that_is_asked_for() {
    for (place, store) in each() {
        store.put("a.json", b"first", Over::Nothing).unwrap();
        store.put("a.json", b"second and longer", Over::Anything).unwrap();
        assert_eq!(read(store.as_ref(), "a.json").unwrap(), b"second and longer", "{store:?}");
        store.put("b.json", b"", Over::Anything).unwrap();
        assert_eq!(read(store.as_ref(), "b.json").unwrap(), b"", "{store:?}");
        assert_eq!(place.left().len(), 2, "{store:?}");
    }
}

#[test]
fn the_entries_are_what_is_there_and_nothing_from_beside_it() {
    for (place, store) in each() {
        assert_eq!(store.entries().unwrap(), [], "{store:?}: never written to");
        written(store.as_ref(), "a.dump", &noise(9 * MIB));
        store.put("a.json", b"12345", Over::Nothing).unwrap();
        let mut under_way = store.create("b.dump", 0).unwrap();
        write(under_way.as_mut(), &noise(9 * MIB));
        let dump = "20261123T223303Z_a88137df.dump";
        let of_a_program = format!("kept/{dump}/inner");
        for path in ["kept/notes.txt", "kept/.hidden", "kept/lost+found/inner", &of_a_program, "kept2/a.json", "a.json"]
        {
            place.plant(path);
        }

        let mut entries = store.entries().unwrap();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let now = SystemTime::now();
        let age = |entry: &Entry| now.duration_since(entry.modified).unwrap_or_default();
        assert!(entries.iter().all(|entry| age(entry) < Duration::from_secs(60)), "{entries:?}");
        let (unfinished, complete): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.name.ends_with(PARTIAL));
        assert!(unfinished.iter().all(|entry| entry.in_use == Some(true)), "{unfinished:?}");
        let complete: Vec<_> = complete.iter().map(|entry| (entry.name.as_str(), entry.bytes, entry.in_use)).collect();
        let mut expected = vec![("a.dump", 9 << 20, None), ("a.json", 5, None), ("notes.txt", 7, None)];
        if let Place::Folder(_) = place {
            expected.insert(0, (dump, 7, None));
        }
        assert_eq!(complete, expected, "{store:?}");
    }
}

#[test]
fn a_lease_tells_that_its_holder_lives() {
    for (place, store) in each() {
        let name = format!("a{LEASE}");
        let entry = || store.entries().unwrap().into_iter().find(|entry| entry.name == name);
        let mut held = store.hold(&name).unwrap();
        assert_eq!(store.hold(&name).err().expect("it is held").kind(), ErrorKind::AlreadyExists, "{store:?}");
        // The bucket tells seconds.
        place.make_old(&name);
        let old = entry().unwrap();
        held.renew().unwrap();
        let renewed = entry().unwrap();
        assert!(renewed.modified > old.modified + Duration::from_secs(3_600), "{store:?}: {old:?} {renewed:?}");
        let is_folder = matches!(place, Place::Folder(_));
        assert_eq!(renewed.in_use, is_folder.then_some(true), "{store:?}");
        held.release().unwrap();
        assert_eq!(entry(), None, "{store:?}");
        // As when the process is killed.
        drop::<Box<dyn Held>>(store.hold(&name).unwrap());
        assert_eq!(entry().unwrap().in_use, is_folder.then_some(false), "{store:?}");
    }
}

#[test]
fn more_entries_than_one_answer_holds_are_all_listed() {
    for (place, store) in each() {
        (0..1_100).for_each(|n| place.plant(&format!("kept/{n:04}")));
        assert_eq!(names(store.as_ref()), (0..1_100).map(|n| format!("{n:04}")).collect::<Vec<_>>(), "{store:?}");
    }
}

#[test]
fn what_is_not_there_is_not_found_and_need_not_be_removed() {
    for (place, store) in each() {
        assert_eq!(read(store.as_ref(), "a").unwrap_err(), ErrorKind::NotFound, "{store:?}");
        store.remove("a").unwrap();
        written(store.as_ref(), "a", b"1");
        written(store.as_ref(), "b", b"2");
        store.remove("a").unwrap();
        assert_eq!(read(store.as_ref(), "a").unwrap_err(), ErrorKind::NotFound, "{store:?}");
        assert_eq!(names(store.as_ref()), ["b"], "{store:?}");
        assert_eq!(place.left().len(), 1, "{store:?}");
    }
}

#[test]
fn names_that_lead_out_are_refused() {
    for (place, store) in each() {
        place.plant("x");
        let refused = |name: &str, error: Option<std::io::Error>| {
            assert_eq!(error.expect(name).kind(), ErrorKind::InvalidInput, "{store:?}: `{name}`");
        };
        for name in ["", ".", "..", "../x", "/x", "a\\b", ".x", "a\0b", "a\nb", "a/../x", "a/b/c", "a/", "a/.x"] {
            refused(name, store.create(name, 0).err());
            refused(name, store.put(name, b"1", Over::Anything).err());
            refused(name, store.read(name).err());
            refused(name, store.remove(name).err());
        }
        // What is in a folder that a program has written can be read, and nothing else.
        refused("a/b", store.create("a/b", 0).err());
        refused("a/b", store.put("a/b", b"1", Over::Anything).err());
        refused("a/b", store.remove("a/b").err());
        assert!(store.read("a/b").is_err(), "{store:?}");
        assert_eq!(store.entries().unwrap(), [], "{store:?}");
    }
}

#[test]
fn two_files_can_be_written_at_a_time() {
    for (_place, store) in each() {
        let (one, other) = (noise(20 * MIB), noise(17 * MIB + 3));
        std::thread::scope(|scope| {
            for (name, bytes) in [("one", &one), ("other", &other)] {
                let store = Arc::clone(&store);
                scope.spawn(move || written(store.as_ref(), name, bytes));
            }
        });
        assert!(read(store.as_ref(), "one").unwrap() == one, "{store:?}");
        assert!(read(store.as_ref(), "other").unwrap() == other, "{store:?}");
    }
}

#[test]
fn what_is_free_is_told_where_there_is_a_limit() {
    for (place, store) in each() {
        let free = store.free_bytes().unwrap();
        assert_eq!(free.is_some(), matches!(place, Place::Folder(_)), "{store:?}");
    }
}

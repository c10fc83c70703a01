//! Stands between a run and the server, and does harm to one thing that comes by: the COMMIT of a migration, or just anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Mutex,
    task::JoinHandle,
};

/// How the host commits a migration; its own tables are made in transactions as well.
const COMMIT: &[u8] = b"SET LOCAL transaction_read_only = on; COMMIT; ";

/// How the host commits what it writes for itself: a query of its own.
const OWN_COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// What comes to harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// The COMMIT of a migration, after so many others.
    Commit(usize),
    /// The COMMIT of what the host writes for itself, after so many others.
    OwnCommit(usize),
    /// Whatever the run sends, after so much else.
    Anything(usize),
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// It never reaches the server; both sides are cut off.
    Lost,
    /// It is carried out; the client is cut off before the answer.
    AnswerLost,
    /// The client is cut off; it reaches the server after this time.
    Delayed(Duration),
    /// It never reaches the server; both connections stay open.
    Swallowed,
    /// It is carried out; the answer never comes, and both connections stay open.
    AnswerSwallowed,
    /// It never reaches the server, whose place the proxy takes: it says that it ends, and a moment later it does.
    ToldOfTheEnd,
    /// All that is sent, meant or not, reaches the server at so many bytes a second.
    Slowed(u32),
    /// Wherever these bytes are in what is sent, meant or not, as many others are in their place.
    Reworded(&'static str, &'static str),
}

/// How a server says that it ends: FATAL 57P01, as PostgreSQL does when its postmaster is gone.
const FAREWELL: &[u8] = b"E\0\0\0\x29SFATAL\0C57P01\0Mthe server is ending\0\0";

/// Between a run and the server.
pub struct Proxy {
    port: u16,
    meant: Meant,
    harm: Harm,
    /// How many of what is meant have come by so far.
    seen: AtomicUsize,
    armed: AtomicBool,
    /// Whether nobody is let in after the harm.
    shuts: bool,
    shut: AtomicBool,
    server: (String, u16),
}

impl Proxy {
    /// Does harm once; lets everybody through afterwards, or nobody.
    pub async fn before(host: &str, port: u16, meant: Meant, harm: Harm, shuts: bool) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            meant,
            harm,
            seen: AtomicUsize::new(0),
            armed: AtomicBool::new(true),
            shuts,
            shut: AtomicBool::new(false),
            server: (host.to_owned(), port),
        });
        let this = Arc::clone(&proxy);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Dropped: the client sees the end of the connection.
                if !this.shut.load(Ordering::Relaxed) {
                    tokio::spawn(Arc::clone(&this).between(client));
                }
            }
        });
        proxy
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it has done its harm.
    pub fn has_harmed(&self) -> bool {
        !self.armed.load(Ordering::Relaxed)
    }

    /// How many times what is meant has come by.
    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::Relaxed)
    }

    /// Lets everybody in again.
    pub fn open(&self) {
        self.shut.store(false, Ordering::Relaxed);
    }

    fn is_meant(&self, sent: &[u8]) -> bool {
        match self.meant {
            Meant::Commit(after) => has(sent, COMMIT) && self.seen.fetch_add(1, Ordering::Relaxed) == after,
            Meant::OwnCommit(after) => sent.ends_with(OWN_COMMIT) && self.seen.fetch_add(1, Ordering::Relaxed) == after,
            Meant::Anything(after) => self.seen.fetch_add(1, Ordering::Relaxed) == after,
        }
    }

    async fn between(self: Arc<Self>, client: TcpStream) {
        let (mut from_client, to_client) = client.into_split();
        let to_client = Arc::new(Mutex::new(to_client));
        let Ok(server) = TcpStream::connect(self.server.clone()).await else { return };
        let (from_server, mut to_server) = server.into_split();
        let muted = Arc::new(AtomicBool::new(false));
        let answers = tokio::spawn(answers(from_server, Arc::clone(&to_client), Arc::clone(&muted)));
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            let sent = &mut buffer[..n];
            if let Harm::Reworded(from, to) = self.harm {
                reword(sent, from.as_bytes(), to.as_bytes());
            }
            let sent = &*sent;
            if self.is_meant(sent) && self.armed.swap(false, Ordering::Relaxed) {
                self.shut.store(self.shuts, Ordering::Relaxed);
                muted.store(true, Ordering::Relaxed);
                if self.harm == Harm::ToldOfTheEnd {
                    let _ = to_client.lock().await.write_all(FAREWELL).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                } else {
                    // The answers' own goes with them.
                    drop(to_client);
                    self.harm(sent, from_client, to_server, &answers).await;
                }
                break;
            }
            if let Harm::Slowed(rate) = self.harm {
                tokio::time::sleep(Duration::from_secs(1) * u32::try_from(n).unwrap() / rate).await;
            }
            if to_server.write_all(sent).await.is_err() {
                break;
            }
        }
        answers.abort();
    }

    async fn harm(
        &self,
        commit: &[u8],
        mut from_client: OwnedReadHalf,
        mut to_server: OwnedWriteHalf,
        answers: &JoinHandle<()>,
    ) {
        let cut = matches!(self.harm, Harm::Lost | Harm::AnswerLost | Harm::Delayed(_));
        if cut {
            answers.abort();
        }
        if let Harm::Delayed(time) = self.harm {
            drop(from_client);
            tokio::time::sleep(time).await;
            // The process of the server may have been ended meanwhile.
            let _ = to_server.write_all(commit).await;
            let _ = to_server.shutdown().await;
            return;
        }
        if matches!(self.harm, Harm::AnswerLost | Harm::AnswerSwallowed) {
            to_server.write_all(commit).await.unwrap();
        }
        if cut {
            // The process of the server ends when it has done what was sent.
            let _ = to_server.shutdown().await;
        } else {
            let _ = from_client.read_to_end(&mut Vec::new()).await;
        }
    }
}

fn reword(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    for at in 0..=bytes.len().saturating_sub(from.len()) {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

async fn answers(mut from_server: OwnedReadHalf, to_client: Arc<Mutex<OwnedWriteHalf>>, muted: Arc<AtomicBool>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
        if !muted.load(Ordering::Relaxed) && to_client.lock().await.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
}

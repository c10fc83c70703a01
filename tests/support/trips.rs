//! Stands between a run and the server, and counts how often the run has to wait for an answer before it can go on. A count is no timing:
//! it is the same on every machine.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// How long an answer takes at least, so that what a client sends at once is here before it.
const LATENCY: Duration = Duration::from_millis(5);

/// What a session has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trips {
    /// Round trips until the server was ready for the first question.
    pub to_connect: usize,
    /// Round trips after that.
    pub round_trips: usize,
}

/// Between a run and the server.
pub struct Counter {
    port: u16,
    server: (String, u16),
    /// Of each session, in the order in which they were opened.
    sessions: Mutex<Vec<Trips>>,
}

impl Counter {
    /// Counts what goes to this server. There may be no TLS on the way.
    pub async fn before(host: &str, port: u16) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port_here = listener.local_addr().unwrap().port();
        let counter = Arc::new(Self { port: port_here, server: (host.to_owned(), port), sessions: Mutex::default() });
        let this = Arc::clone(&counter);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&this).between(client));
            }
        });
        counter
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What each session has cost that was opened since this was asked last, in that order.
    pub fn take(&self) -> Vec<Trips> {
        std::mem::take(&mut self.sessions.lock().unwrap())
    }

    async fn between(self: Arc<Self>, client: TcpStream) {
        let server = TcpStream::connect(self.server.clone()).await.unwrap();
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let open = Arc::new(Mutex::new(Open::default()));
        tokio::join!(self.questions(from_client, to_server, &open), self.answers(from_server, to_client, &open),);
    }

    async fn questions(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, open: &Mutex<Open>) {
        let (mut buffer, mut messages) = (vec![0; 1 << 16], Messages::of_a_client());
        let mut session = 0;
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            for kind in messages.of(&buffer[..n]) {
                let (mut open, mut sessions) = (open.lock().unwrap(), self.sessions.lock().unwrap());
                // What is asked while an answer is still to come waits for nothing.
                let waited = open.questions == 0;
                match kind {
                    // A request to cancel a statement is no session, and an end is no question.
                    CANCELS | b'X' => continue,
                    // The rest of what is asked goes on to a Sync, which is what the server answers.
                    b'P' | b'B' | b'D' | b'E' | b'C' | b'd' | b'c' | b'f' => continue,
                    STARTS => {
                        session = sessions.len();
                        sessions.push(Trips::default());
                    }
                    _ => {}
                }
                open.questions += 1;
                let Some(trips) = sessions.get_mut(session) else { continue };
                if !open.is_ready {
                    trips.to_connect += 1;
                } else if waited {
                    trips.round_trips += 1;
                }
            }
            if to.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    }

    async fn answers(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, open: &Mutex<Open>) {
        let (mut buffer, mut messages) = (vec![0; 1 << 16], Messages::of_a_server());
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            tokio::time::sleep(LATENCY).await;
            for kind in messages.of(&buffer[..n]) {
                let mut open = open.lock().unwrap();
                match kind {
                    b'Z' if !open.is_ready => *open = Open { is_ready: true, questions: 0 },
                    // Ready again; or waiting for the data of a COPY.
                    b'Z' | b'G' => open.questions = open.questions.saturating_sub(1),
                    _ => {}
                }
            }
            if to.write_all(&buffer[..n]).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    }
}

/// A session.
#[derive(Default)]
struct Open {
    is_ready: bool,
    /// Those that are not answered.
    questions: usize,
}

/// Stand for the first message, which has no letter.
const STARTS: u8 = 0;
const CANCELS: u8 = 1;

/// Source: PostgreSQL manual, "Message Formats": the codes that stand in the place of a version.
const CANCEL_CODE: u32 = 80_877_102;

/// Parts what comes by into messages.
struct Messages {
    bytes: VecDeque<u8>,
    /// How many bytes of the message under way are still to come.
    rest: usize,
    /// Whether the next message has no letter.
    bare: bool,
}

impl Messages {
    fn of_a_client() -> Self {
        Self { bytes: VecDeque::new(), rest: 0, bare: true }
    }

    fn of_a_server() -> Self {
        Self { bare: false, ..Self::of_a_client() }
    }

    /// The letters of the messages that begin in these bytes.
    fn of(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.bytes.extend(bytes);
        let mut kinds = Vec::new();
        loop {
            let skipped = self.rest.min(self.bytes.len());
            self.bytes.drain(..skipped);
            self.rest -= skipped;
            let head = if self.bare { 8 } else { 5 };
            if self.rest > 0 || self.bytes.len() < head {
                return kinds;
            }
            let number = |at: usize| (0..4).fold(0, |sum, i| sum << 8 | u32::from(self.bytes[at + i]));
            let (kind, length) = match self.bare {
                true if number(4) == CANCEL_CODE => (CANCELS, number(0) as usize),
                true => (STARTS, number(0) as usize),
                false => (self.bytes[0], number(1) as usize + 1),
            };
            self.bare = false;
            kinds.push(kind);
            self.rest = length;
        }
    }
}

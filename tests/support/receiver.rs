//! An HTTP server of the test's own that keeps what it is sent: a collector of OpenTelemetry, and a push gateway.

use std::{
    collections::BTreeMap,
    future::{pending, poll_fn},
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::oneshot,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, crypto,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::authority;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It takes what it is sent.
    Takes,
    /// It answers by this status.
    Refuses(StatusCode),
    /// It reads, and never answers.
    NeverAnswers,
    /// It takes connections, and never reads from one.
    NeverReads,
}

/// What it was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: Method,
    /// The path, as it was written.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// See the module. It ends with this value.
pub struct Receiver {
    port: u16,
    /// What [`authority::write`] has written, of a receiver with TLS.
    certificates: Option<TempDir>,
    received: Arc<Mutex<Vec<Received>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// One that takes what it is sent.
    pub fn start() -> Self {
        Self::that(Manner::Takes)
    }

    /// One that takes what it is sent, with TLS, and a certificate of an authority that only tests know.
    pub fn start_with_tls() -> Self {
        let folder = TempDir::with_prefix("lockgate-receiver-").unwrap();
        authority::write(folder.path());
        let chain = CertificateDer::pem_file_iter(folder.path().join("good.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.path().join("good.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.collect::<Result<Vec<_>, _>>().unwrap(), key)
            .unwrap();
        let mut receiver = Self::started(Manner::Takes, Some(TlsAcceptor::from(Arc::new(config))));
        receiver.certificates = Some(folder);
        receiver
    }

    /// One that behaves so.
    pub fn that(manner: Manner) -> Self {
        Self::started(manner, None)
    }

    fn started(manner: Manner, tls: Option<TlsAcceptor>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let (stop, mut stopped) = oneshot::channel();
        let kept = Arc::clone(&received);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let connection = tokio::select! {
                        accepted = listener.accept() => accepted.unwrap().0,
                        _ = &mut stopped => return,
                    };
                    let (kept, tls) = (Arc::clone(&kept), tls.clone());
                    tokio::spawn(async move {
                        if manner == Manner::NeverReads {
                            let _open = connection;
                            return pending().await;
                        }
                        match tls {
                            None => serve(connection, manner, kept).await,
                            Some(tls) => {
                                if let Ok(connection) = tls.accept(connection).await {
                                    serve(connection, manner, kept).await;
                                }
                            }
                        }
                    });
                }
            });
        });
        Self { port, certificates: None, received, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The certificate of its authority, of a receiver with TLS.
    pub fn authority(&self) -> PathBuf {
        self.certificates.as_ref().expect("the receiver has TLS").path().join("ca.crt")
    }

    /// What it was sent so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// What it was sent to this path.
    pub fn received_at(&self, path: &str) -> Vec<Received> {
        self.received().into_iter().filter(|received| received.path == path).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Where nobody listens.
pub fn nowhere() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}")
}

async fn serve(connection: impl AsyncRead + AsyncWrite + Unpin, manner: Manner, kept: Arc<Mutex<Vec<Received>>>) {
    let service = service_fn(move |request| answer(manner, Arc::clone(&kept), request));
    // The client may end a connection whenever it likes.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
}

async fn answer(
    manner: Manner,
    kept: Arc<Mutex<Vec<Received>>>,
    request: Request<Incoming>,
) -> Result<Response<String>, hyper::Error> {
    let (head, body) = request.into_parts();
    let (method, path, headers) = (head.method, head.uri.path().to_owned(), head.headers);
    let received = Received { method, path, headers, body: read(body).await? };
    let asks = received.method == Method::GET;
    kept.lock().unwrap().push(received);
    let mut response = Response::new(String::new());
    match manner {
        Manner::Takes if asks => *response.body_mut() = pushed(&kept.lock().unwrap()),
        Manner::Takes => {}
        Manner::Refuses(status) => *response.status_mut() = status,
        Manner::NeverAnswers | Manner::NeverReads => return pending().await,
    }
    Ok(response)
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

/// What a push gateway shows of what was pushed: of each group and metric what came last, with the labels of the group, in their order.
fn pushed(received: &[Received]) -> String {
    let mut metrics: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for push in received.iter().filter(|received| received.method == Method::POST) {
        let text = String::from_utf8(push.body.clone()).unwrap();
        let mut of_push: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, rest) = line.split_once('{').unwrap();
            let (labels, value) = rest.rsplit_once("} ").unwrap();
            let mut labels: Vec<&str> =
                labels.split_inclusive("\",").map(|label| label.trim_end_matches(',')).collect();
            labels.extend(["instance=\"\"", "job=\"lockgate\""]);
            labels.sort_unstable();
            of_push.entry(name.to_owned()).or_default().push(format!("{name}{{{}}} {value}\n", labels.join(",")));
        }
        for (name, lines) in of_push {
            metrics.insert((push.path.clone(), name), lines);
        }
    }
    let shown = metrics.into_values().flatten().collect::<String>();
    format!("# TYPE somebody_elses gauge\nsomebody_elses{{job=\"x\"}} 1\n{shown}")
}

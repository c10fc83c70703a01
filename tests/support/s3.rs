//! An S3 server of the test's own: the program `s3s-fs`, in a thread of this process, on a port of this machine.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    pin::Pin,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    thread::JoinHandle,
};

use futures_util::StreamExt;
pub use hyper::{HeaderMap, Method, StatusCode};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use lockgate::backup::store::{S3, S3Settings};
use s3s::{
    Body, HttpError,
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
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
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// The bucket that is there.
pub const BUCKET: &str = "backups";
/// Who may use it.
pub const ACCESS_KEY: &str = "lockgate-test";
/// Their secret.
pub const SECRET_KEY: &str = "hush-hush-hush";

/// What goes wrong at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers to what is written by this status, and does nothing.
    Refuses(StatusCode),
    /// It breaks off after so many bytes of an object.
    BreaksOff(u64),
    /// It knows no conditions of a PUT.
    KnowsNoConditions,
    /// It does what is written, and answers as if it had not.
    LosesAnswer,
    /// It is gone when something is written.
    Ends,
    /// It never answers to what is written.
    Hangs,
}

/// A server with one bucket. It ends with this value, and what it kept goes with it.
pub struct S3Server {
    folder: TempDir,
    port: u16,
    shared: Arc<Shared>,
    certificate: Option<PathBuf>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// What goes wrong, after how many times that it does not, and how often.
    fault: Mutex<Option<(Fault, usize, usize)>>,
    heads: Mutex<Vec<(Method, String, HeaderMap)>>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl Shared {
    fn end(&self) {
        if let Some(stop) = self.stop.lock().unwrap().take() {
            let _ = stop.send(());
        }
    }

    /// What goes wrong with this request.
    fn due(&self, head: &(Method, String, HeaderMap)) -> Option<Fault> {
        let (method, target, headers) = head;
        let writes = *method == Method::PUT || *method == Method::POST;
        let mut due = self.fault.lock().unwrap();
        let (fault, after, times) = due.as_mut()?;
        let concerned = match fault {
            Fault::Refuses(_) | Fault::LosesAnswer | Fault::Ends | Fault::Hangs => writes,
            Fault::BreaksOff(_) => *method == Method::GET && !target.contains("list-type"),
            Fault::KnowsNoConditions => headers.contains_key("if-none-match"),
        };
        if !concerned {
            return None;
        }
        if *after > 0 {
            *after -= 1;
            return None;
        }
        let fault = *fault;
        *times -= 1;
        if *times == 0 {
            *due = None;
        }
        Some(fault)
    }
}

impl S3Server {
    /// Without TLS.
    pub fn start() -> Self {
        Self::started(TempDir::with_prefix("lockgate-s3-").unwrap(), None)
    }

    /// With TLS, and a certificate that nobody has signed.
    pub fn start_with_tls() -> Self {
        let folder = TempDir::with_prefix("lockgate-s3-").unwrap();
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "`openssl` makes a certificate");
        let chain = CertificateDer::pem_file_iter(&certificate).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(&key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let mut server = Self::started(folder, Some(TlsAcceptor::from(Arc::new(config))));
        server.certificate = Some(certificate);
        server
    }

    fn started(folder: TempDir, tls: Option<TlsAcceptor>) -> Self {
        let root = folder.path().join("root");
        fs::create_dir_all(root.join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(&root).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let (service, shared) = (builder.build(), Arc::new(Shared::default()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, mut stopped) = oneshot::channel();
        *shared.stop.lock().unwrap() = Some(stop);
        let seen = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // Whatever is under way is dropped with the runtime: the clients see their connections end.
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let connection = tokio::select! {
                        accepted = listener.accept() => accepted.unwrap().0,
                        _ = &mut stopped => return,
                    };
                    let (service, shared, tls) = (service.clone(), Arc::clone(&seen), tls.clone());
                    tokio::spawn(async move {
                        match tls {
                            None => serve(connection, service, shared).await,
                            Some(tls) => {
                                if let Ok(connection) = tls.accept(connection).await {
                                    serve(connection, service, shared).await;
                                }
                            }
                        }
                    });
                }
            });
        });
        Self { folder, port, shared, certificate: None, thread: Some(thread) }
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The certificate of a server with TLS.
    pub fn certificate(&self) -> &Path {
        self.certificate.as_deref().expect("the server has TLS")
    }

    /// How it is reached; requests that fail are tried again for a short time only.
    pub fn settings(&self) -> S3Settings {
        S3Settings { endpoint: Some(self.endpoint()), retry_timeout_s: Some(1), ..S3Settings::default() }
    }

    /// A store in its bucket.
    pub fn store(&self, prefix: &str) -> S3 {
        self.store_with(prefix, &self.settings())
    }

    /// The same with other settings.
    pub fn store_with(&self, prefix: &str, settings: &S3Settings) -> S3 {
        S3::open_as(Some((ACCESS_KEY, SECRET_KEY)), BUCKET, prefix, settings).unwrap()
    }

    /// The same as in `lockgate.toml`.
    pub fn config(&self) -> String {
        format!("[backup.s3]\nendpoint = \"{}\"\nretry_timeout_s = 1\n", self.endpoint())
    }

    /// Ends it now.
    pub fn stop(&mut self) {
        self.shared.end();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// After so many times that it goes well, this goes wrong so many times.
    pub fn goes_wrong(&self, fault: Fault, after: usize, times: usize) {
        *self.shared.fault.lock().unwrap() = Some((fault, after, times));
    }

    /// Whether that has gone wrong as often as it was to.
    pub fn went_wrong(&self) -> bool {
        self.shared.fault.lock().unwrap().is_none()
    }

    /// The requests so far: what was asked, of which path and query, with which headers.
    pub fn requests(&self) -> Vec<(Method, String, HeaderMap)> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// The keys in the bucket, in order.
    pub fn keys(&self) -> Vec<String> {
        let bucket = self.folder.path().join("root").join(BUCKET);
        let mut keys = Vec::new();
        let mut folders = vec![bucket.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => keys.push(path.strip_prefix(&bucket).unwrap().to_str().unwrap().to_owned()),
                }
            }
        }
        keys.sort();
        keys
    }

    /// How many uploads in parts are neither complete nor aborted.
    pub fn unfinished(&self) -> usize {
        let entries = fs::read_dir(self.folder.path().join("root")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".upload-")).count()
    }

    /// Where it keeps an object.
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.path().join("root").join(BUCKET).join(key)
    }

    /// Puts something into the bucket that is none of Lockgate's.
    pub fn plant(&self, key: &str, bytes: &[u8]) {
        let path = self.path(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(connection: impl AsyncRead + AsyncWrite + Unpin, service: S3Service, shared: Arc<Shared>) {
    let answer = service_fn(move |request| answer(service.clone(), Arc::clone(&shared), request));
    // The client may end a connection whenever it likes.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), answer).await;
}

async fn answer(
    service: S3Service,
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, HttpError> {
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let head = (request.method().clone(), target, request.headers().clone());
    let fault = shared.due(&head);
    shared.heads.lock().unwrap().push(head);
    let request = request.map(Body::from);
    match fault {
        None => service.call(request).await,
        Some(Fault::Refuses(status)) => Ok(refusal(status, request.into_body()).await),
        Some(Fault::KnowsNoConditions) => Ok(refusal(StatusCode::NOT_IMPLEMENTED, request.into_body()).await),
        Some(Fault::LosesAnswer) => {
            service.call(request).await?;
            Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, Body::empty()).await)
        }
        Some(Fault::BreaksOff(left)) => {
            let response = service.call(request).await?;
            Ok(response.map(|body| Body::http_body_unsync(BrokenOff { body, left })))
        }
        Some(Fault::Ends) => {
            shared.end();
            std::future::pending().await
        }
        Some(Fault::Hangs) => std::future::pending().await,
    }
}

/// What a server says that cannot or will not, once it has been told everything.
async fn refusal(status: StatusCode, mut request: Body) -> Response<Body> {
    while let Some(Ok(_)) = request.next().await {}
    let code = if status == StatusCode::NOT_IMPLEMENTED { "NotImplemented" } else { "SlowDown" };
    let body = format!("<Error><Code>{code}</Code><Message>of the test's own making</Message></Error>");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

/// The same up to a point, where the connection ends.
struct BrokenOff {
    body: Body,
    left: u64,
}

impl hyper::body::Body for BrokenOff {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(Some(Err("broken off".into())));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        self.left = self.left.saturating_sub(bytes as u64);
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! Runs that need a rehearsal: what the certificate says is held against what is about to be done.

use uuid::Uuid;

use super::{Run, work::Work};
use crate::{
    error::{Error, Finding, NOTHING_CHANGED, Result, Severity, Stage},
    files, plan,
    rehearsal::certificate::{self, BYTES_MAX, Certificate, Pending, Present, PublicKey, Refusal, Standing},
    schema::Schema,
};

impl Run<'_> {
    /// Stops a run that no rehearsal lets through, where one must; tells which one does.
    ///
    /// # Errors
    /// [`Error::Checks`] with everything that is wrong with the certificate; [`Error::Configuration`] when no key is trusted.
    pub(super) async fn require_rehearsal(&self, work: &[Work]) -> Result<Option<Uuid>> {
        if !self.needs_rehearsal(work) {
            return Ok(None);
        }
        match self.certificate(work).await? {
            Ok(certificate) => {
                tracing::info!(rehearsal = %certificate.run_id, issued_at = %certificate.issued_at, "it was rehearsed");
                Ok(Some(certificate.run_id))
            }
            Err(refusals) => {
                let findings = refusals.iter().map(Refusal::finding).collect();
                Err(Error::Checks { stage: Stage::Rehearsal, findings, state: NOTHING_CHANGED.into() })
            }
        }
    }

    /// The same for a plan, which nothing stops.
    pub(super) async fn would_be_let_through(&self, work: &[Work]) -> Result<Vec<Finding>> {
        if !self.needs_rehearsal(work) {
            return Ok(Vec::new());
        }
        Ok(match self.certificate(work).await? {
            Ok(certificate) => {
                let message = format!(
                    "rehearsal {} lets this through: it passed, and ended at {}",
                    certificate.run_id, certificate.issued_at
                );
                vec![Finding::new(Severity::Info, "rehearsal-accepted", message)]
            }
            Err(refusals) => {
                refusals.iter().map(|refusal| Finding { severity: Severity::Warn, ..refusal.finding() }).collect()
            }
        })
    }

    /// What is thrown away afterwards is a rehearsal itself.
    fn needs_rehearsal(&self, work: &[Work]) -> bool {
        self.config.rehearsal.require && !self.config.throwaway && !work.is_empty()
    }

    /// The certificate, or everything that is wrong with it.
    async fn certificate(&self, work: &[Work]) -> Result<Result<Certificate, Vec<Refusal>>> {
        let settings = &self.config.rehearsal;
        if settings.trusted_keys.is_empty() {
            return Err(Error::configuration(
                "a rehearsal is required, and no key is trusted to have signed its certificate",
                "name the file of the public key (`openssl pkey -in rehearsal.key -pubout -out rehearsal.pub`) in `trusted_keys` \
                 under [rehearsal] in lockgate.toml",
            ));
        }
        let trusted = settings.trusted_keys.iter().map(|path| PublicKey::read(path)).collect::<Result<Vec<_>>>()?;
        let path = &settings.certificate;
        let bytes = match files::read(path, BYTES_MAX, "of a certificate") {
            Ok(bytes) => bytes,
            Err(_) if !path.exists() => return Ok(Err(vec![Refusal::Missing(path.clone())])),
            Err(why) => return Ok(Err(vec![Refusal::Unreadable(path.clone(), why)])),
        };
        let certificate = match certificate::open(&bytes, &trusted) {
            Ok(certificate) => certificate,
            Err(refusal) => return Ok(Err(vec![refusal])),
        };
        let applied = self.applied().await?;
        let begun = work.first().is_some_and(|item| item.started.is_some());
        let fingerprint = if begun { None } else { Some(self.schema_fingerprint().await?) };
        let present = Present {
            database: &self.session.target().database,
            server_major: self.session.server.major(),
            base: fingerprint
                .as_deref()
                .map(|schema_fingerprint| Standing { version: plan::newest(&applied), schema_fingerprint }),
            pending: work
                .iter()
                .map(|item| Pending {
                    version: &item.version,
                    name: &item.name,
                    checksum: &item.checksum,
                    companions: &item.companions,
                })
                .collect(),
            now: jiff::Timestamp::now(),
            max_age: settings.max_age,
            extent: settings.extent,
            ignored: &settings.ignore_content,
        };
        let refusals = certificate.refusals(&present);
        Ok(if refusals.is_empty() { Ok(certificate) } else { Err(refusals) })
    }

    async fn schema_fingerprint(&self) -> Result<String> {
        Ok(Schema::read(&self.session, &self.history).await?.fingerprint())
    }
}

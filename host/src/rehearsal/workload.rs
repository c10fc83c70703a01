//! stub
use super::Workload;
use crate::{error::Result, postgres::Target, stop::Stop};
use std::path::Path;
pub(super) struct Clients;
impl Clients {
    pub(super) async fn start(_: &Target, _: &Path, _: u32, _: Option<&Path>, _: &Path, _: &Stop) -> Result<Self> {
        Ok(Self)
    }
    pub(super) fn phase(&self, _: &str) {}
    pub(super) async fn stop(&self) -> Result<Workload> {
        Err(crate::error::Error::configuration("no", "no"))
    }
}

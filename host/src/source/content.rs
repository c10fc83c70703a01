//! What a migration is made of, understood when it is first asked for: of a file that is applied, and has not changed, nobody asks more
//! than its digest.

use std::sync::OnceLock;

use super::{Content, draft::Scripts};
use crate::error::Problem;

/// See the module.
#[derive(Debug, Clone)]
pub struct Lazy {
    /// What is to be understood, and what its layout has found wrong with it; `None` once there is nothing more to do.
    draft: Option<(Box<Scripts>, Vec<Problem>)>,
    content: OnceLock<Result<Content, Vec<Problem>>>,
}

impl Lazy {
    pub(super) fn of(scripts: Scripts, problems: Vec<Problem>) -> Self {
        Self { draft: Some((Box::new(scripts), problems)), content: OnceLock::new() }
    }

    /// The content, or all that is wrong with it.
    pub(super) fn get(&self) -> Result<&Content, &[Problem]> {
        let content = self.content.get_or_init(|| {
            let Some((scripts, problems)) = &self.draft else { return Err(Vec::new()) };
            let mut problems = problems.clone();
            let (files, _) = scripts.parse(&mut problems);
            if problems.is_empty() { Ok(Content::Sql(Box::new(files))) } else { Err(problems) }
        });
        content.as_ref().map_err(Vec::as_slice)
    }
}

impl From<Result<Content, Vec<Problem>>> for Lazy {
    fn from(content: Result<Content, Vec<Problem>>) -> Self {
        Self { draft: None, content: OnceLock::from(content) }
    }
}

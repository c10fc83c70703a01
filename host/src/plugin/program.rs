//! A component as a [`Program`]. Every call gets a store and an instance of its own, and whatever it did ends with it.

use std::sync::Arc;

use async_trait::async_trait;
use wasmtime::{Store, UpdateDeadline, component::Resource};

use super::{
    bindings::{Migration, MigrationPre, exports::lockgate::migration::program as wit},
    convert,
    engine::Engine,
    limits::Reached,
    rights::Rights,
    state::{Reader, State, Transaction},
};
use crate::{
    error::{Finding, Problem, ProgramError},
    migration::{Checksum, Direction},
    postgres::Handle,
    sql::{Origin, Script},
    step::{Batch, Description, OutsideStep, Program, Step},
};

/// A compiled component that fits the interface.
pub struct ComponentProgram {
    engine: Engine,
    rights: Arc<Rights>,
    pre: MigrationPre<State>,
    description: Description,
}

impl ComponentProgram {
    /// Compiles a component and asks what it is.
    ///
    /// # Errors
    /// Why it cannot run here, in one sentence.
    pub async fn load(engine: &Engine, bytes: Vec<u8>, digest: &Checksum, rights: Rights) -> Result<Self, String> {
        let rights = Arc::new(rights);
        let pre = engine.load(bytes, digest, &rights.limits).await?;
        let mut program = Self { engine: engine.clone(), rights, pre, description: Description::default() };
        let description = program.call(async |store, guest| guest.program().call_describe(store).await).await;
        let description = description.map_err(|e| format!("its `describe` failed: {}", e.cause))?;
        program.description = convert::description_from_guest(description);
        Ok(program)
    }

    async fn call<T>(
        &self,
        work: impl AsyncFnOnce(&mut Store<State>, Guest<'_>) -> wasmtime::Result<T>,
    ) -> Result<T, ProgramError> {
        let limits = &self.rights.limits;
        let mut store = Store::new(self.engine.wasmtime(), State::new(Arc::clone(&self.rights)));
        store.limiter(|state| &mut state.growth);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let state = context.data();
            let limits = &state.rights.limits;
            if state.cpu_time() > limits.cpu() {
                Err(Reached::cpu(limits).into())
            } else {
                Ok(UpdateDeadline::Yield(1))
            }
        });
        let run = async {
            let migration = self.pre.instantiate_async(&mut store).await?;
            work(&mut store, Guest(&migration)).await
        };
        let result = tokio::time::timeout(limits.wall_clock(), run).await;
        if let Some(refused) = store.data_mut().refused.take() {
            return Err(ProgramError::plugin(refused));
        }
        match result {
            Ok(result) => result.map_err(|error| at_fault(&error)),
            Err(_) => Err(ProgramError::plugin(Reached::wall_clock(limits).to_string())),
        }
    }

    /// Lends a reader for one call.
    async fn with_reader<T>(
        &self,
        db: &Handle,
        work: impl AsyncFnOnce(&mut Store<State>, Guest<'_>, Resource<Reader>) -> wasmtime::Result<T>,
    ) -> Result<T, ProgramError> {
        let db = db.clone();
        self.call(async move |store, guest| {
            let reader = store.data_mut().table.push(Reader(db))?;
            work(store, guest, Resource::new_borrow(reader.rep())).await
        })
        .await
    }
}

/// The instance, by its one export.
struct Guest<'a>(&'a Migration);

impl Guest<'_> {
    fn program(&self) -> &wit::Guest {
        self.0.lockgate_migration_program()
    }
}

#[async_trait]
impl Program for ComponentProgram {
    fn describe(&self) -> &Description {
        &self.description
    }

    async fn preflight(&self, db: &Handle) -> Result<Vec<Finding>, ProgramError> {
        let findings = self
            .with_reader(db, async |store, guest, reader| guest.program().call_preflight(store, reader).await)
            .await?;
        findings.map(convert::findings_from_guest).map_err(convert::error_from_guest)
    }

    async fn plan(&self, direction: Direction, db: &Handle) -> Result<Vec<Step>, ProgramError> {
        let way = convert::direction_to_guest(direction);
        let steps = self
            .with_reader(db, async |store, guest, reader| guest.program().call_plan(store, way, reader).await)
            .await?;
        let steps = steps.map_err(convert::error_from_guest)?;
        if steps.is_empty() {
            return Err(ProgramError::plugin("its plan has no steps"));
        }
        steps.into_iter().map(step_from_guest).collect()
    }

    async fn run(&self, direction: Direction, step: &str, db: &Handle) -> Result<(), ProgramError> {
        let (way, step, db) = (convert::direction_to_guest(direction), step.to_owned(), db.clone());
        let done = self
            .call(async move |store, guest| {
                let transaction = store.data_mut().table.push(Transaction(db))?;
                let transaction = Resource::new_borrow(transaction.rep());
                guest.program().call_run(store, way, &step, transaction).await
            })
            .await?;
        done.map_err(convert::error_from_guest)
    }

    async fn run_batch(
        &self,
        direction: Direction,
        step: &str,
        checkpoint: Option<&[u8]>,
        db: &Handle,
    ) -> Result<Batch, ProgramError> {
        let (way, step, db) = (convert::direction_to_guest(direction), step.to_owned(), db.clone());
        let batch = self
            .call(async move |store, guest| {
                let transaction = store.data_mut().table.push(Transaction(db))?;
                let transaction = Resource::new_borrow(transaction.rep());
                guest.program().call_run_batch(store, way, &step, transaction, checkpoint).await
            })
            .await?;
        batch.map(convert::batch_from_guest).map_err(convert::error_from_guest)
    }

    async fn verify(&self, direction: Direction, db: &Handle) -> Result<Vec<Finding>, ProgramError> {
        let way = convert::direction_to_guest(direction);
        let findings = self
            .with_reader(db, async |store, guest, reader| guest.program().call_verify(store, way, reader).await)
            .await?;
        findings.map(convert::findings_from_guest).map_err(convert::error_from_guest)
    }
}

fn step_from_guest(step: wit::Step) -> Result<Step, ProgramError> {
    let script = |text: &str| Script::parse(text, Origin::Plugin).map_err(|problems| unfit(&problems));
    Ok(match step {
        wit::Step::Sql(text) => Step::Sql(script(&text)?),
        wit::Step::OutsideTransaction(wit::OutsideStep { statement, probe }) => {
            Step::OutsideTransaction(OutsideStep { statement: script(&statement)?, probe })
        }
        wit::Step::Code(name) => Step::Code(name),
        wit::Step::Batched(name) => Step::Batched(name),
    })
}

fn unfit(problems: &[Problem]) -> ProgramError {
    let list: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.at, p.what)).collect();
    ProgramError::plugin(list.join("; "))
}

/// A trap, a broken rule of the component model, or a limit.
fn at_fault(error: &wasmtime::Error) -> ProgramError {
    if let Some(reached) = error.downcast_ref::<Reached>() {
        return ProgramError::plugin(reached.to_string());
    }
    if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
        return ProgramError::plugin(match trap {
            wasmtime::Trap::UnreachableCodeReached => "it panicked; its last log lines may say why".to_owned(),
            wasmtime::Trap::StackOverflow => "it ran out of stack".to_owned(),
            trap => format!("it trapped: {trap}"),
        });
    }
    ProgramError::plugin(error.root_cause().to_string())
}

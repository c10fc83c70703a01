//! A component as a [`Program`]. Every call gets a store and an instance of its own, and whatever it did ends with it.

use std::sync::Arc;

use async_trait::async_trait;
use wasmtime::{Store, UpdateDeadline, WasmBacktrace, component::Resource};

use super::{
    Code, INTERFACE_VERSION,
    bindings::{
        Migration, MigrationPre, exports::lockgate::migration::program as wit, lockgate::migration::types::Error,
    },
    convert,
    engine::Engine,
    limits::{Limits, Reached},
    rights::Rights,
    state::{Reader, State, Transaction},
    steps,
};
use crate::{
    error::{Finding, ProgramError},
    migration::{Checksum, Direction},
    postgres::Handle,
    step::{Batch, Description, Patience, Program, Step},
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
    pub async fn load(
        engine: &Engine,
        code: impl Into<Code>,
        digest: &Checksum,
        rights: Rights,
    ) -> Result<Self, String> {
        let rights = Arc::new(rights);
        let pre = engine.load(code.into(), digest, &rights.limits).await?;
        let mut program = Self { engine: engine.clone(), rights, pre, description: Description::default() };
        let description =
            program.call(Reached::call, async |store, guest| guest.program().call_describe(store).await.map(Ok)).await;
        let description = description.map_err(|e| format!("its `describe` failed: {}", e.cause))?;
        program.description = convert::description_from_guest(description);
        let limits = &program.rights.limits;
        let exceeded = Reached::wall_clock(limits).to_string();
        program.description.patience = Some(Patience { wall_clock: limits.wall_clock(), exceeded });
        Ok(program)
    }

    /// Calls the component, in a store of its own. `returned` is the limit on what it returns.
    async fn call<T>(
        &self,
        returned: fn(&Limits) -> Reached,
        work: impl AsyncFnOnce(&mut Store<State>, Guest<'_>) -> wasmtime::Result<Result<T, Error>>,
    ) -> Result<T, ProgramError> {
        let limits = &self.rights.limits;
        let mut store = Store::new(self.engine.wasmtime(), State::new(Arc::clone(&self.rights)));
        store.limiter(|state| &mut state.growth);
        // What the host copies out of the guest's memory, before any of it is looked at.
        store.set_hostcall_fuel(limits.call_max_bytes);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|context| {
            let state = context.data();
            let limits = &state.rights.limits;
            if state.cpu_time.used() > limits.cpu() {
                Err(Reached::cpu(limits).into())
            } else {
                Ok(UpdateDeadline::Yield(1))
            }
        });
        let cpu_time = store.data().cpu_time.clone();
        let run = cpu_time.count(async {
            let migration = self.pre.instantiate_async(&mut store).await.map_err(misfit)?;
            let answer = work(&mut store, Guest(&migration)).await?;
            // The error that it returned says more than what it left behind because of that.
            let ended = if answer.is_ok() { store.data_mut().end().await } else { Ok(()) };
            Ok((answer, ended))
        });
        let result = tokio::time::timeout(limits.wall_clock(), run).await;
        if let Some(refused) = store.data_mut().refused.take() {
            return Err(ProgramError::plugin(refused));
        }
        match result {
            Ok(Ok((answer, Ok(())))) => answer.map_err(convert::error_from_guest),
            Ok(Ok((_, Err(left_behind)))) => Err(ProgramError::plugin(left_behind)),
            Ok(Err(error)) => Err(at_fault(&error, limits, returned)),
            Err(_) => Err(ProgramError::plugin(Reached::wall_clock(limits).to_string())),
        }
    }

    /// Lends a reader for one call.
    async fn with_reader<T>(
        &self,
        db: &Handle,
        returned: fn(&Limits) -> Reached,
        work: impl AsyncFnOnce(&mut Store<State>, Guest<'_>, Resource<Reader>) -> wasmtime::Result<Result<T, Error>>,
    ) -> Result<T, ProgramError> {
        let db = db.clone();
        self.call(returned, async move |store, guest| {
            let reader = store.data_mut().lend_reader(db)?;
            work(store, guest, reader).await
        })
        .await
    }

    /// Lends a transaction for one call.
    async fn with_transaction<T>(
        &self,
        db: &Handle,
        returned: fn(&Limits) -> Reached,
        work: impl AsyncFnOnce(&mut Store<State>, Guest<'_>, Resource<Transaction>) -> wasmtime::Result<Result<T, Error>>,
    ) -> Result<T, ProgramError> {
        let db = db.clone();
        self.call(returned, async move |store, guest| {
            let transaction = store.data_mut().lend_transaction(db)?;
            work(store, guest, transaction).await
        })
        .await
    }
}

/// Handles of every kind that a component may hold at a time. Those of the database have lower limits of their own.
const HANDLES_MAX: usize = 10_000;

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
            .with_reader(db, Reached::call, async |store, guest, reader| {
                guest.program().call_preflight(store, reader).await
            })
            .await?;
        Ok(convert::findings_from_guest(findings))
    }

    async fn plan(&self, direction: Direction, db: &Handle) -> Result<Vec<Step>, ProgramError> {
        let way = convert::direction_to_guest(direction);
        let steps = self
            .with_reader(db, Reached::plan_bytes, async |store, guest, reader| {
                guest.program().call_plan(store, way, reader).await
            })
            .await?;
        steps::from_guest(steps, &self.rights.limits)
    }

    async fn run(&self, direction: Direction, step: &str, db: &Handle) -> Result<(), ProgramError> {
        let (way, step) = (convert::direction_to_guest(direction), step.to_owned());
        self.with_transaction(db, Reached::call, async move |store, guest, transaction| {
            guest.program().call_run(store, way, &step, transaction).await
        })
        .await
    }

    async fn run_batch(
        &self,
        direction: Direction,
        step: &str,
        checkpoint: Option<&[u8]>,
        size: Option<u64>,
        db: &Handle,
    ) -> Result<Batch, ProgramError> {
        let (way, step) = (convert::direction_to_guest(direction), step.to_owned());
        let batch = self
            .with_transaction(db, Reached::checkpoint, async move |store, guest, transaction| {
                store.data_mut().batch_size = size;
                guest.program().call_run_batch(store, way, &step, transaction, checkpoint).await
            })
            .await?;
        let limits = &self.rights.limits;
        match convert::batch_from_guest(batch) {
            Batch::More { checkpoint, .. } if checkpoint.len() > limits.checkpoint_max_bytes => {
                Err(ProgramError::plugin(Reached::checkpoint(limits).to_string()))
            }
            batch => Ok(batch),
        }
    }

    async fn verify(&self, direction: Direction, db: &Handle) -> Result<Vec<Finding>, ProgramError> {
        let way = convert::direction_to_guest(direction);
        let findings = self
            .with_reader(db, Reached::call, async |store, guest, reader| {
                guest.program().call_verify(store, way, reader).await
            })
            .await?;
        Ok(convert::findings_from_guest(findings))
    }
}

/// What wasmtime says when more is passed than [`Store::set_hostcall_fuel`] allows; the type of that error is private.
const FUEL_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

/// Marks an error of instantiation that no code of the guest's has caused: its functions have other types.
#[derive(Debug)]
struct Misfit;

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a function of another type")
    }
}

fn misfit(error: wasmtime::Error) -> wasmtime::Error {
    let by_the_guest = error.is::<wasmtime::Trap>() || error.is::<Reached>() || error.is::<WasmBacktrace>();
    if by_the_guest { error } else { error.context(Misfit) }
}

/// A trap, a broken rule of the component model, or a limit.
fn at_fault(error: &wasmtime::Error, limits: &Limits, returned: fn(&Limits) -> Reached) -> ProgramError {
    if let Some(reached) = error.downcast_ref::<Reached>() {
        return ProgramError::plugin(reached.to_string());
    }
    if error.is::<Misfit>() {
        let why = error.root_cause();
        return ProgramError::plugin(format!("it does not fit lockgate:migration {INTERFACE_VERSION}: {why}"));
    }
    if error.root_cause().to_string().contains(FUEL_EXHAUSTED) {
        // Without a frame of the guest, it was not calling the host but returning to it.
        let calling = error.downcast_ref::<WasmBacktrace>().is_some_and(|trace| !trace.frames().is_empty());
        let returned = if calling { Reached::call(limits) } else { returned(limits) };
        return ProgramError::plugin(returned.no_more_than(Reached::call(limits)).to_string());
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

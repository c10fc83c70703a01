//! Generated from `wit/lockgate.wit`.
#![allow(missing_docs, clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "migration",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "lockgate:migration/database.reader": crate::plugin::state::Reader,
        "lockgate:migration/database.transaction": crate::plugin::state::Transaction,
        "lockgate:migration/database.cursor": crate::plugin::state::Cursor,
        "lockgate:migration/database.copy-sink": crate::plugin::state::CopySink,
        "lockgate:migration/database.savepoint": crate::plugin::state::Savepoint,
    },
});

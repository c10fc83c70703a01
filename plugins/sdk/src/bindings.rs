//! What wit-bindgen makes of `wit/lockgate.wit`.
#![allow(unsafe_code, missing_docs, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "migration",
    pub_export_macro: true,
    export_macro_name: "export_program",
    additional_derives: [PartialEq],
});

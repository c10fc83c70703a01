//! What Lockgate promises, seen from outside: each test runs the command against a server and looks at what is left.

// A test that cannot be set up must stop there and say why.
#![allow(clippy::unwrap_used)]

mod adopt;
mod auth_service;
mod authors;
mod backup;
mod certificate;
mod command_line;
mod companions;
mod components;
mod connection;
mod costs;
mod crashes;
mod doctor;
mod drill;
mod embedded;
mod failures;
mod folder;
mod guests;
mod handles;
mod hash_tokens;
mod hostile;
mod interface;
mod journal;
mod kit;
mod languages;
mod layouts;
mod lint;
mod lock;
mod obstacles;
mod old_script;
mod order;
mod output;
mod outside;
mod plans;
mod plugin_commands;
mod privileges;
mod rehearsal;
mod report;
mod restore;
mod restored_objects;
mod roles;
mod s3;
mod schema;
mod scripts;
mod steps;
mod stores;
mod terminal;
mod throwaway;
mod up_and_down;
mod values;
mod workload;

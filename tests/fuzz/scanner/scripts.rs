//! Whatever a script holds, its tokens and what it is cut into give it back.
#![no_main]
// What only the host calls.
#![allow(dead_code)]

#[path = "../../../host/src/sql/scan.rs"]
mod scan;
#[path = "../../../host/src/sql/split.rs"]
mod split;

use std::ops::Range;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut end = 0;
    for token in scan::tokens(&text) {
        assert!(token.start == end && token.end > end, "a gap or an overlap at {end}");
        // What is no place between two characters would panic here.
        let _ = (&text[token.start..token.end], scan::content(&token, &text));
        assert!(token.ended || token.end == text.len());
        end = token.end;
    }
    assert_eq!(end, text.len());
    pieces_give_it_back(&text);
});

/// Statements, commands, and between them nothing but blanks, semicolons and what a fault has hidden.
fn pieces_give_it_back(text: &str) {
    let cut = split::split(text);
    let mut pieces: Vec<Range<usize>> = Vec::new();
    for statement in &cut.statements {
        assert!(statement.start < statement.end && statement.end <= statement.stop && !statement.words.is_empty());
        if let Some(data) = &statement.data {
            assert!(statement.end <= data.start && data.end <= statement.stop);
            assert!(data.start == text.len() || text[..data.start].ends_with('\n'));
        }
        pieces.push(statement.start..statement.stop);
    }
    // A command may stand amid a statement.
    pieces.extend(cut.commands.iter().filter(|command| !command.amid).map(|command| command.range.clone()));
    pieces.sort_by_key(|piece| (piece.start, piece.end));
    let mut at = 0;
    for piece in pieces {
        assert!(at <= piece.start, "two pieces overlap at {at}");
        let between = &text[at..piece.start];
        let meant = |token: scan::Token| !token.is_blank() && token.kind != scan::Kind::Semicolon;
        assert!(
            !scan::tokens(between).any(meant) || cut.commands.iter().any(|c| c.amid && c.range.start < piece.start),
            "`{between}` is lost"
        );
        at = piece.end;
    }
    let statements = |text: &str| split::split(text).statements.len();
    // What is cut once is not cut again.
    for statement in cut.statements.iter().filter(|statement| statement.data.is_none() && cut.commands.is_empty()) {
        assert_eq!(statements(&text[statement.start..statement.end]), 1);
    }
}

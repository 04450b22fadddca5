//! What a person at a terminal sees.

use crate::program::Sandbox;

#[test]
fn on_a_terminal_each_stage_has_a_live_line_that_ends_with_a_mark_and_the_summary_stands_below() {
    let sandbox = Sandbox::new();
    let (code, shown) = sandbox.apply().start_on_terminal().end();
    assert_eq!(code, Some(0), "{shown}");
    for stage in ["upload", "build", "archive", "push", "rollout"] {
        assert!(shown.contains(&format!("\u{1b}[32m✔\u{1b}[0m {stage:<7} ")), "{stage}: {shown}");
    }
    let (_, summary) = shown.rsplit_once("\u{1b}[32mSUCCESS\u{1b}[0m in ").expect("a verdict");
    let lines: Vec<_> = summary.lines().skip(1).map(|line| line.split_whitespace().next()).collect();
    assert_eq!(lines, ["deployment", "image", "archive", "traffic"].map(Some), "{summary}");
    assert!(!summary.contains('\u{1b}'), "{summary:?}");
}

#[test]
fn no_color_takes_the_colours_and_a_simple_terminal_gets_plain_lines() {
    let sandbox = Sandbox::new();
    let (code, shown) = sandbox.apply().on_terminal_with("NO_COLOR", "1").end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("✔ upload") && shown.contains("SUCCESS in"), "{shown}");
    assert!(!shown.contains("\u{1b}[32m") && !shown.contains("\u{1b}[0m"), "{shown:?}");

    let (code, shown) = sandbox.apply().on_terminal_with("TERM", "dumb").end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("upload   started") && !shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn with_json_a_terminal_shows_the_events_and_notes() {
    let sandbox = Sandbox::new();
    let (code, shown) = sandbox.apply().with(&["--json"]).start_on_terminal().end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.lines().all(|line| line.starts_with("{\"event\":") || line.starts_with("note: ")), "{shown}");
}

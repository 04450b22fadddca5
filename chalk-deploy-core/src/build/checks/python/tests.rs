use proptest::prelude::*;

use super::*;

fn checked(source: &str, minor: u8) -> Syntax {
    check("a.py", source.as_bytes(), Some(Target { minor }))
}

fn lines(syntax: Syntax) -> Vec<String> {
    match syntax {
        Syntax::Wrong(findings) => findings.iter().map(Finding::to_string).collect(),
        other => panic!("it should be wrong and is {other:?}"),
    }
}

#[test]
fn what_each_version_of_python_added_is_known_and_wrong_before_it() {
    let cases = [
        (11, "try:\n    f()\nexcept* ValueError:\n    pass\n"),
        (12, "def f[T](x: T) -> T:\n    return x\n"),
        (12, "type X[T] = list[T]\n"),
        (12, "x = f'{y['a']}'\n"),
        (13, "def f[T = int](x: T) -> T:\n    return x\n"),
    ];
    for (since, source) in cases {
        assert_eq!(checked(source, since), Syntax::Right, "{source}");
        let before = lines(checked(source, since - 1));
        assert!(before[0].contains(&format!("on Python 3.{}", since - 1)), "{before:?}");
        assert_eq!(check("a.py", source.as_bytes(), None), Syntax::Right, "no version is asked for");
    }
    let matching = "match x:\n    case {'a': [1, *_]} if y:\n        pass\n";
    assert_eq!(checked(matching, 10), Syntax::Right);
}

#[test]
fn an_error_is_told_with_its_line_and_its_column_in_characters() {
    assert_eq!(lines(checked("x = 1\né = = 2\n", 11)), ["a.py:2:5: Expected an expression"]);
    assert_eq!(lines(checked("x = 1\r\ny = (2\r\n", 11)), ["a.py:2:5: the bracket is never closed"]);
    assert_eq!(lines(checked("x = 'a\n", 11))[0], "a.py:1:5: missing closing quote in string literal");
    assert_eq!(lines(checked("if x:\npass\n", 11)).len(), 1);
    assert_eq!(lines(checked("x = 1\0\n", 11)), ["a.py:1:6: source code cannot contain null bytes"]);
    let latin = check("a.py", b"x = 1\ny = '\xe9'\n", None);
    assert_eq!(lines(latin), ["a.py:2:6: it is not UTF-8, and it declares no other encoding"]);
}

#[test]
fn a_file_of_another_encoding_is_decoded_or_not_checked() {
    assert_eq!(check("a.py", b"# coding: latin-1\nx = '\xe9'\n", None), Syntax::Right);
    let foreign = check("a.py", b"# coding: koi8-r\nx = '\xe9'\n", None);
    assert_eq!(foreign, Syntax::Unchecked("its encoding is `koi8-r`".to_owned()));
}

#[test]
fn files_that_were_made_to_break_a_parser_only_get_a_finding() {
    let deep = 100_000;
    let cases = [
        "(".repeat(deep),
        "[".repeat(deep),
        format!("{}{}", "(".repeat(deep), ")".repeat(deep)),
        "(]".repeat(deep),
        "{(".repeat(deep),
        "f'{".repeat(deep),
        "f\"{f'{".repeat(deep),
        format!("$ {}", "(".repeat(deep)),
        "(\n$".repeat(deep),
        "'".repeat(deep + 1),
        "with (".repeat(deep),
        "match (".repeat(deep),
        "if x:\n".repeat(deep),
        "x = 1\n  ".repeat(deep),
        "lambda (".repeat(deep),
        "@(".repeat(deep),
        "\\\n".repeat(deep),
        "\u{FEFF}".repeat(deep),
    ];
    for source in cases {
        assert!(matches!(checked(&source, 11), Syntax::Wrong(_)), "{source:.20}");
    }
}

#[test]
fn the_deepest_tree_that_is_parsed_fits_on_the_stack() {
    for (link, end) in [("not ", ""), ("-", ""), ("lambda: ", ""), ("2 ** ", ""), ("1 + ", ""), ("1 if x else ", "")] {
        // A little below the bound: the largest chain of each kind that is parsed.
        let links = (1..)
            .map(|count| count * 100)
            .take_while(|count| nesting::measure(&format!("x = {}x{end}\n", link.repeat(*count))) == Nesting::Bounded);
        let most = links.last().expect("a hundred fit");
        assert!(most >= 900, "{link}: {most}");
        assert_eq!(checked(&format!("x = {}x{end}\n", link.repeat(most)), 11), Syntax::Right, "{link}");
    }
    let brackets = format!("x = {}x{}\n", "-(not [{1: ".repeat(40), "}])".repeat(40));
    assert_eq!(checked(&brackets, 11), Syntax::Right);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check("a.py", &bytes, Some(Target { minor: 11 }));
    }

    #[test]
    fn no_pieces_of_python_make_it_panic(pieces in proptest::collection::vec(
        prop_oneof![
            Just("f'{"), Just("}'"), Just("(") , Just(")"), Just("["), Just("]"), Just("{"), Just("}"), Just("\n"),
            Just("    "), Just("def f"), Just("class A"), Just(":"), Just("'"), Just("\"\"\""), Just("lambda "),
            Just(","), Just("$"), Just("\\"), Just("é"), Just("match x"), Just("case "), Just("with "), Just("t'"),
            Just("async "), Just("#"), Just("!r"), Just("1"), Just(" x "), Just("="), Just("*"), Just(";"),
        ],
        0..60,
    )) {
        check("a.py", pieces.concat().as_bytes(), Some(Target { minor: 13 }));
    }
}

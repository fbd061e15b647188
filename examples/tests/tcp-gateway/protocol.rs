//! The parser and the encoder, without input and output, beside those of a crate.

use proptest::prelude::*;
use redis_protocol::resp2::{decode::decode, types::OwnedFrame};

use crate::support::encoded;

/// The patterns of the program.
#[path = "../../tcp-gateway/glob.rs"]
#[allow(dead_code, reason = "the program uses all of it")]
mod glob;
/// The module of the program.
#[path = "../../tcp-gateway/resp.rs"]
#[allow(dead_code, reason = "the program uses all of it")]
mod resp;

use self::{
    glob::Glob,
    resp::{MAX_BULK, Parser, ProtocolError, encode},
};

type Commands = Vec<Vec<Vec<u8>>>;

/// Parses input that comes in these pieces.
fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Commands, ProtocolError> {
    let mut parser = Parser::default();
    let mut commands = Vec::new();
    for piece in pieces {
        parser.push(piece);
        while let Some(command) = parser.next()? {
            let strings = (0..command.len()).map(|index| command.get(index).expect("it has it"));
            commands.push(strings.map(<[u8]>::to_vec).collect());
        }
    }
    Ok(commands)
}

#[test]
fn commands_may_be_split_at_every_byte() {
    let mut input = encoded(&["SET", "a\r\n", ""]);
    input.extend(b"get  'it''s' \"\\x41\\n\\\"\"\r\n*-1\r\n\n*1\r\n$4\r\nPING\r\n");
    input.splice(0..0, *b"inline\n");
    let expected = Err(ProtocolError::Quotes);
    assert_eq!(
        parse([&input[..]]),
        expected,
        "a quote may not follow another"
    );
    let input = String::from_utf8(input)
        .expect("text")
        .replace("'it''s'", "'it\\'s'");
    let expected: Commands = [
        &["inline"][..],
        &["SET", "a\r\n", ""],
        &["get", "it's", "A\n\""],
        &["PING"],
    ]
    .iter()
    .map(|command| {
        command
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect()
    })
    .collect();
    let input = input.as_bytes();
    for first in 0..=input.len() {
        for second in first..=input.len() {
            let pieces = [&input[..first], &input[first..second], &input[second..]];
            assert_eq!(parse(pieces).as_ref(), Ok(&expected), "{first}, {second}");
        }
    }
}

#[test]
fn errors_do_not_depend_on_the_pieces() {
    let long_inline = vec![b'x'; resp::MAX_INLINE + 1];
    let mut long_command = b"*4\r\n".to_vec();
    for _ in 0..3 {
        long_command.extend(format!("${MAX_BULK}\r\n").bytes());
        long_command.extend(vec![b'x'; MAX_BULK]);
        long_command.extend(b"\r\n");
    }
    for (input, error) in [
        (&b"*+1\r\n"[..], ProtocolError::ArrayLength),
        (b"*1025\r\n", ProtocolError::ArrayLength),
        (b"*\r\n", ProtocolError::ArrayLength),
        (
            b"*99999999999999999999999999999999999",
            ProtocolError::ArrayLength,
        ),
        (b"*1\r\n$\r\n", ProtocolError::BulkLength),
        (b"*1\r\n$1x\r\n", ProtocolError::BulkLength),
        (
            b"*1\r\n$99999999999999999999\r\n",
            ProtocolError::BulkLength,
        ),
        (b"*1\r\nPING\r\n", ProtocolError::NoDollar(b'P')),
        (b"*1\r\n$1\r\nab\r\n", ProtocolError::NoLineEnd),
        (b"a 'b\r\n", ProtocolError::Quotes),
        (b"a \"b\\", ProtocolError::Quotes),
        (&long_inline, ProtocolError::InlineLength),
        (&long_command, ProtocolError::CommandLength),
    ] {
        let mut input = input.to_vec();
        if input.len() < 20 && !input.ends_with(b"\n") {
            input.extend(b"\r\n");
        }
        assert_eq!(parse([&input[..]]), Err(error));
        assert_eq!(parse(input.chunks(1)), Err(error));
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let mut parser = Parser::default();
    let one = encoded(&["GET", "a"]);
    for _ in 0..10_000 {
        parser.push(&one);
        parser.push(&one[..5]);
        assert!(parser.next().expect("valid").is_some());
        assert!(parser.next().expect("valid").is_none());
        assert_eq!(parser.buffered(), 5);
        parser.push(&one[5..]);
        assert!(parser.next().expect("valid").is_some());
    }
    assert!(parser.next().expect("valid").is_none());
    assert_eq!(parser.buffered(), 0);
}

proptest! {
    #[test]
    fn what_a_client_encodes_is_parsed(
        commands in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
            1..8,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let input: Vec<u8> = commands.iter().flat_map(|command| encoded(command)).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len())).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &input[ends[0]..ends[1]]);
        prop_assert_eq!(parse(pieces), Ok(commands));
    }

    #[test]
    fn any_input_has_the_same_outcome_in_one_piece_and_in_bytes(
        input in prop::collection::vec(
            prop_oneof![
                Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'2'),
                Just(b'"'), Just(b'\''), Just(b'\\'), Just(b' '), any::<u8>(),
            ],
            0..80,
        ),
    ) {
        prop_assert_eq!(parse([&input[..]]), parse(input.chunks(1)));
    }

    #[test]
    fn a_client_decodes_what_is_encoded(
        text in prop::collection::vec(any::<u8>(), 0..60),
        number: i64,
        line in "[ -~]{0,40}",
    ) {
        let mut out = Vec::new();
        encode::array(&mut out, 5);
        encode::bulk(&mut out, &text);
        encode::null(&mut out);
        encode::integer(&mut out, number);
        encode::simple(&mut out, &line);
        encode::error(&mut out, format_args!("because\r\n{line}"));
        let expected = OwnedFrame::Array(vec![
            OwnedFrame::BulkString(text),
            OwnedFrame::Null,
            OwnedFrame::Integer(number),
            OwnedFrame::SimpleString(line.clone().into_bytes()),
            OwnedFrame::Error(format!("ERR because  {line}")),
        ]);
        let length = out.len();
        prop_assert_eq!(decode(&out).expect("valid"), Some((expected, length)));
    }

    #[test]
    fn a_literal_pattern_matches_only_itself(key in "[a-c*?\\[\\]\\\\]{0,6}", other in "[a-c]{0,6}") {
        let escaped: String = key.chars().flat_map(|c| ['\\', c]).collect();
        let glob = Glob::new(escaped.as_bytes()).expect("valid");
        prop_assert!(glob.matches(&key));
        prop_assert_eq!(glob.matches(&other), key == other);
    }
}

#[test]
fn patterns_match_as_in_redis() {
    for (pattern, matching, others) in [
        ("*", &["", "a", "ab"][..], &[][..]),
        ("a*c*", &["ac", "abc", "abcabc"], &["", "ab", "bac"]),
        ("?", &["a", "é"], &["", "ab"]),
        ("h[ae]llo", &["hallo", "hello"], &["hillo", "hllo"]),
        ("h[^e]llo", &["hallo"], &["hello"]),
        ("[b-dx]*", &["b", "cc", "x"], &["a", "e", "-"]),
        ("a\\*", &["a*"], &["a", "ab", "a\\*"]),
        ("**a**a**", &["aa", "xaxax"], &["a"]),
    ] {
        let glob = Glob::new(pattern.as_bytes()).expect("valid");
        for key in matching {
            assert!(glob.matches(key), "{pattern} {key}");
            assert!(key.starts_with(glob.prefix()), "{pattern} {key}");
        }
        for key in others {
            assert!(!glob.matches(key), "{pattern} {key}");
        }
    }
    // No pattern takes for ever.
    let glob = Glob::new("*a".repeat(200).as_bytes()).expect("valid");
    assert!(!glob.matches(&"a".repeat(199)));
    assert!(Glob::new(&[b'*'; 1025]).is_err());
    assert!(Glob::new(b"\xff").is_err());
}

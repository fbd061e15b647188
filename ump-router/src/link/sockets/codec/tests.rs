//! Old and new versions of a type, and payloads that are none.

use std::fmt::Debug;

use serde::Deserialize;

use super::*;

fn coder<T>(codec: impl PayloadCodec<T>) -> Coder<T> {
    Coder::of(&codec)
}

/// Encodes and decodes as CBOR.
fn through<From, To>(value: &From) -> Result<To, Undecodable>
where
    From: Serialize + DeserializeOwned,
    To: Serialize + DeserializeOwned,
{
    let payload = coder(Cbor).encode(Codec::Cbor, value).unwrap();
    coder(Cbor).decode(Codec::Cbor, &payload)
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Old {
    name: String,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct New {
    #[serde(default)]
    unit: Option<String>,
    name: String,
}

fn old() -> Old {
    Old {
        name: "height".to_owned(),
    }
}

fn new(unit: Option<&str>) -> New {
    New {
        unit: unit.map(str::to_owned),
        name: "height".to_owned(),
    }
}

#[test]
fn an_added_optional_field_breaks_no_reader_of_cbor() {
    assert_eq!(through::<New, Old>(&new(Some("m"))), Ok(old()));
    assert_eq!(through::<Old, New>(&old()), Ok(new(None)));
}

#[test]
fn no_prefix_of_a_payload_is_one() {
    let value = ("a text".to_owned(), 7_u64, vec![1.5, 2.5]);
    for codec in CODECS {
        let coder = coder::<(String, u64, Vec<f64>)>(Cbor);
        let whole = coder.encode(*codec, &value).unwrap();
        assert_eq!(coder.decode(*codec, &whole).as_ref(), Ok(&value));
        let none = Err(Undecodable::Payload(*codec));
        for cut in 0..whole.len() {
            assert_eq!(coder.decode(*codec, &whole[..cut]), none);
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(coder.decode(*codec, &longer), none);
    }
}

/// The codecs of types with serde.
const CODECS: &[Codec] = &[
    Codec::Cbor,
    #[cfg(feature = "postcard")]
    Codec::Postcard,
];

fn is_refused<T: Serialize + DeserializeOwned>(codec: Codec, payload: &[u8]) {
    let decoded = coder::<T>(Cbor).decode(codec, payload);
    assert_eq!(decoded.err(), Some(Undecodable::Payload(codec)));
}

#[test]
fn a_declared_length_of_cbor_allocates_nothing() {
    // An array of 2^60 elements, and a text of 2^60 bytes.
    for major in [0x9b, 0x7b] {
        let bytes = [major, 0x10, 0, 0, 0, 0, 0, 0, 0, 1];
        is_refused::<Vec<u64>>(Codec::Cbor, &bytes);
        is_refused::<String>(Codec::Cbor, &bytes);
    }
}

#[test]
fn a_panic_of_a_type_is_an_error() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("a value that cannot be encoded")
        }
    }
    impl<'de> Deserialize<'de> for Broken {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("a value that cannot be decoded")
        }
    }
    for codec in CODECS {
        assert!(coder(Cbor).encode(*codec, &Broken).is_none());
        is_refused::<Broken>(*codec, &[0]);
    }
}

#[test]
fn raw_bytes_are_bytes_and_nothing_else() {
    let coder = coder::<Vec<u8>>(Raw);
    let bytes = b"\xff\0".to_vec();
    let payload = coder.encode(Codec::Raw, &bytes).unwrap();
    assert_eq!(payload[..], *b"\xff\0");
    assert_eq!(coder.decode(Codec::Raw, &payload), Ok(bytes.clone()));
    for codec in [Codec::Cbor, Codec::Postcard, Codec::Other(9)] {
        assert!(coder.encode(codec, &bytes).is_none());
        let refused = coder.decode(codec, &payload);
        assert_eq!(refused, Err(Undecodable::Codec(codec)));
    }
}

/// Bytes of which not all are valid.
struct Digit(u8);

impl AsRef<[u8]> for Digit {
    fn as_ref(&self) -> &[u8] {
        std::slice::from_ref(&self.0)
    }
}

impl TryFrom<Vec<u8>> for Digit {
    type Error = ();

    fn try_from(bytes: Vec<u8>) -> Result<Self, ()> {
        match bytes[..] {
            [digit @ b'0'..=b'9'] => Ok(Self(digit)),
            _ => Err(()),
        }
    }
}

#[test]
fn a_type_may_refuse_raw_bytes() {
    let coder = coder::<Digit>(Raw);
    assert_eq!(coder.encode(Codec::Raw, &Digit(b'7')), Some((*b"7").into()));
    assert_eq!(coder.decode(Codec::Raw, b"7").map(|it| it.0), Ok(b'7'));
    let refused = coder.decode(Codec::Raw, b"x").map(|it| it.0);
    assert_eq!(refused, Err(Undecodable::Payload(Codec::Raw)));
}

#[test]
fn a_reader_says_what_it_does_not_decode() {
    let unknown = [Codec::Raw, Codec::Other(9)];
    for codec in unknown {
        let refused = coder::<u8>(Cbor).decode(codec, &[7]);
        assert_eq!(refused, Err(Undecodable::Codec(codec)));
    }
    let texts = [
        (
            Undecodable::Codec(Codec::Other(9)),
            "this type is not decoded from codec 9 here",
        ),
        (
            Undecodable::Payload(Codec::Cbor),
            "the payload is not CBOR of this type",
        ),
    ];
    for (error, text) in texts {
        assert_eq!(error.to_string(), text);
    }
}

#[cfg(not(feature = "postcard"))]
#[test]
fn postcard_is_not_decoded_without_its_feature() {
    let refused = coder::<u8>(Cbor).decode(Codec::Postcard, &[7]);
    assert_eq!(refused, Err(Undecodable::Codec(Codec::Postcard)));
}

#[cfg(feature = "postcard")]
mod postcard {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
    enum Tree {
        Leaf,
        Pair(Box<Tree>, Box<Tree>),
        Named { name: String, of: Option<Box<Tree>> },
        List(Vec<Tree>),
        Map(BTreeMap<u8, Tree>),
        Wrapped(Wrapper),
    }

    #[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
    struct Wrapper(Box<Tree>);

    fn trees() -> Vec<Tree> {
        let leaf = || Box::new(Tree::Leaf);
        let pair = Tree::Pair(leaf(), leaf());
        vec![
            Tree::Leaf,
            Tree::Named {
                name: "a".to_owned(),
                of: Some(Box::new(pair.clone())),
            },
            Tree::List(vec![pair.clone(), Tree::Leaf]),
            Tree::Map([(7, pair.clone()), (9, Tree::Leaf)].into()),
            Tree::Wrapped(Wrapper(Box::new(pair))),
        ]
    }

    #[test]
    fn each_codec_with_serde_is_decoded_by_the_readers_of_both() {
        for tree in trees() {
            for codec in CODECS {
                let payload = coder(Cbor).encode(*codec, &tree).unwrap();
                let decoded = [
                    coder::<Tree>(Cbor).decode(*codec, &payload),
                    coder::<Tree>(Postcard).decode(*codec, &payload),
                ];
                assert_eq!(decoded, [Ok(tree.clone()), Ok(tree.clone())]);
            }
        }
    }

    #[test]
    fn the_format_is_that_of_the_crate() {
        let codec = Codec::Postcard;
        assert_eq!(
            (coder::<u8>(Postcard).codec, coder::<u8>(Cbor).codec),
            (codec, Codec::Cbor)
        );
        for tree in trees() {
            let payload = coder(Postcard).encode(codec, &tree).unwrap();
            assert_eq!(
                payload[..],
                ::postcard::to_extend(&tree, Vec::new()).unwrap()
            );
        }
    }

    /// What the documentation says of changes.
    #[test]
    fn a_changed_type_cannot_be_trusted() {
        let payload = coder(Postcard).encode(Codec::Postcard, &new(None)).unwrap();
        let read = coder::<Old>(Postcard).decode(Codec::Postcard, &payload);
        assert_eq!(read, Err(Undecodable::Payload(Codec::Postcard)));
        let payload = coder(Postcard).encode(Codec::Postcard, &old()).unwrap();
        let read = coder::<New>(Postcard).decode(Codec::Postcard, &payload);
        assert_eq!(read, Err(Undecodable::Payload(Codec::Postcard)));
    }

    #[test]
    fn a_type_that_contains_itself_has_a_limit() {
        // A pair in a pair, and so on, and a wrapper in a wrapper.
        for byte in [1_u8, 5] {
            is_refused::<Tree>(Codec::Postcard, &vec![byte; 1 << 20]);
        }
        let nested = |depth: usize| {
            let mut payload = vec![5; depth];
            payload.push(0);
            coder::<Tree>(Postcard).decode(Codec::Postcard, &payload)
        };
        assert!(nested(30).is_ok());
        assert!(nested(1 << 10).is_err());
    }

    #[test]
    #[expect(clippy::zero_sized_map_values, reason = "entries without bytes")]
    fn a_declared_length_takes_neither_memory_nor_time() {
        // 2^60 elements.
        let length = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
        is_refused::<Vec<()>>(Codec::Postcard, &length);
        is_refused::<BTreeMap<(), ()>>(Codec::Postcard, &length);
        is_refused::<Vec<u64>>(Codec::Postcard, &length);
        is_refused::<String>(Codec::Postcard, &length);
        // Each has less than the limit, and all of them together more.
        let few = [&[16][..], &[0xff, 0xff, 0x03].repeat(16)].concat();
        is_refused::<Vec<Vec<()>>>(Codec::Postcard, &few);
        let decoded = coder::<Vec<()>>(Cbor).decode(Codec::Postcard, &[100]);
        assert_eq!(decoded.map(|it| it.len()), Ok(100));
    }

    #[test]
    fn elements_with_bytes_are_never_too_many() {
        let numbers: Vec<Vec<u8>> = vec![vec![7; 1000]; 200];
        let payload = coder(Postcard).encode(Codec::Postcard, &numbers).unwrap();
        let decoded = coder(Postcard).decode(Codec::Postcard, &payload);
        assert_eq!(decoded, Ok(numbers));
    }
}

//! The output of the macro, compared with its documentation.

use proc_macro2::{Punct, Spacing, TokenStream, TokenTree};

use super::expand;

/// The paths that the macro writes in full, and the names that the documentation imports for them.
const PATHS: [(&str, &str); 21] = [
    (":: core :: result :: Result :: Ok", "Ok"),
    (":: core :: result :: Result :: Err", "Err"),
    (":: core :: result :: Result", "Result"),
    (":: core :: option :: Option :: Some", "Some"),
    (":: core :: option :: Option :: None", "None"),
    (":: core :: option :: Option", "Option"),
    (":: core :: convert :: Infallible", "Infallible"),
    (":: core :: convert :: From", "From"),
    (":: core :: clone :: Clone", "Clone"),
    (":: core :: ops :: ControlFlow", "ControlFlow"),
    (":: core :: error :: Error", "Error"),
    (":: core :: fmt", "fmt"),
    (":: core :: unreachable", "unreachable"),
    (":: ump_server :: ump :: Ask", "Ask"),
    (":: ump_server :: ump :: Request", "Request"),
    (":: ump_server :: ump :: Typed", "Typed"),
    (":: ump_server :: Client", "Client"),
    (":: ump_server :: ReplyContext", "ReplyContext"),
    (":: ump_server :: service :: Interface", "Interface"),
    (":: ump_server :: service :: IntoFlow", "IntoFlow"),
    (":: ump_server :: thread", "thread"),
];

/// Returns the tokens as text, without attributes, paths and commas that nothing follows.
fn plain(tokens: TokenStream) -> String {
    let mut plain = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => drop(tokens.next()),
            TokenTree::Punct(punct) if punct.as_char() == ',' && is_end(tokens.peek()) => {}
            TokenTree::Punct(punct) if is_first_of_path(&punct) => {
                // With the second colon.
                drop(tokens.next());
                plain.push("::".to_owned());
            }
            TokenTree::Group(group) => {
                let inner = self::plain(group.stream());
                plain.push(format!("{:?}[{inner}]", group.delimiter()));
            }
            token => plain.push(token.to_string()),
        }
    }
    let plain = plain.join(" ");
    PATHS
        .iter()
        .fold(plain, |plain, (path, name)| plain.replace(path, name))
}

/// Returns whether it is the first colon of `::`. (Parsed tokens and quoted ones do not agree on
/// which other tokens are joint.)
fn is_first_of_path(punct: &Punct) -> bool {
    punct.as_char() == ':' && punct.spacing() == Spacing::Joint
}

/// Returns whether a comma before this token separates nothing.
fn is_end(next: Option<&TokenTree>) -> bool {
    match next {
        None => true,
        Some(TokenTree::Punct(punct)) => punct.as_char() == '>',
        Some(_) => false,
    }
}

fn parse(text: &str) -> TokenStream {
    text.parse().expect("tokens")
}

#[test]
fn the_expansion_is_what_the_documentation_shows() {
    let block = "impl Counter { pub fn add(&mut self, n: u32) -> u32 { self.0 += n; self.0 } }";
    let expanded = expand(TokenStream::new(), &parse(block));
    let shown = include_str!("expansion.rs");
    let (_imports, shown) = shown.split_once("// #[service]").expect("the block");
    assert_eq!(plain(expanded), plain(parse(shown)));
}

#[test]
fn a_socket_method_adds_what_the_documentation_shows() {
    let socket = "#[socket] fn on_event(&mut self, event: Event) {}";
    let shown = plain(parse(include_str!("expansion_socket.rs")));
    for rest in [
        "",
        "fn get(&self) -> u32 { 1 }",
        "#[batch_end] fn end(&mut self) {}",
    ] {
        let block = format!("impl Gateway {{ {socket} {rest} }}");
        let expanded = plain(expand(TokenStream::new(), &parse(&block)));
        assert_eq!(expanded.matches(&shown).count(), 1, "{expanded}");
    }
    let block = format!("impl Gateway {{ {socket} async fn get(&self) -> u32 {{ 1 }} }}");
    let expanded = plain(expand(TokenStream::new(), &parse(&block)));
    assert!(expanded.contains("compile_error") && !expanded.contains("on_socket"));
}

#[test]
fn a_ready_method_adds_what_the_documentation_shows() {
    let shown = plain(parse(include_str!("expansion_ready.rs")));
    let block =
        "impl Gateway { #[ready] async fn wait(&mut self) {} #[on_ready] fn read(&mut self) {} }";
    let expanded = plain(expand(TokenStream::new(), &parse(block)));
    assert_eq!(expanded.matches(&shown).count(), 1, "{expanded}");
}

#[test]
fn a_body_that_is_being_written_keeps_the_client() {
    let block =
        "impl Counter { fn add(&mut self, n: u32) -> u32 { self. } fn get(&self) -> u32 { 1 + } }";
    let expanded = expand(TokenStream::new(), &parse(block)).to_string();
    for kept in [
        "self . }",
        "1 + }",
        "struct CounterClient",
        "struct CounterGet",
    ] {
        assert!(expanded.contains(kept), "{kept}");
    }
    assert!(!expanded.contains("compile_error"));
}

#[test]
fn a_block_with_errors_is_kept() {
    for block in [
        "impl Counter { fn add(self) {} }",
        "impl Counter { fn () }",
        "impl { }",
        "struct Counter;",
    ] {
        let expanded = expand(TokenStream::new(), &parse(block)).to_string();
        assert!(expanded.contains("compile_error"), "{block}");
        assert!(
            expanded.starts_with(block.split(' ').next().unwrap()),
            "{expanded}"
        );
    }
}

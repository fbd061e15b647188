//! The arguments of the attribute.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Error, Expr, LitStr, Path, Result, Token, Type, Visibility, ext::IdentExt, parenthesized,
    parse::ParseStream,
};

/// The arguments of the attribute. What is not given has a default.
#[derive(Default)]
pub(crate) struct Arguments {
    /// The path of the crate `ump-server`.
    krate: Option<Path>,
    /// The path of the crate `ump-router`.
    router: Option<Path>,
    /// The prefix of the service's topics, if it can serve topics.
    pub(crate) topic: Option<Expr>,
    /// The value that ends the loop.
    pub(crate) output: Option<Type>,
    /// The visibility of what the macro makes.
    pub(crate) visibility: Option<Visibility>,
    /// The error of a service that does not start.
    pub(crate) start_error: Option<Type>,
    /// The traits that messages, replies and errors derive.
    pub(crate) derive: Option<TokenStream>,
    pub(crate) client: Option<Ident>,
    pub(crate) request: Option<Ident>,
    pub(crate) reply: Option<Ident>,
    pub(crate) error: Option<Ident>,
    pub(crate) timer: Option<Ident>,
}

impl Arguments {
    pub(crate) fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            arguments.parse_one(input)?;
            if input.is_empty() {
                break;
            }
            input.parse::<Token![,]>()?;
        }
        Ok(arguments)
    }

    fn parse_one(&mut self, input: ParseStream<'_>) -> Result<()> {
        let key = input.call(Ident::parse_any)?;
        if key == "derive" {
            let traits;
            parenthesized!(traits in input);
            return set(&mut self.derive, &key, traits.parse()?);
        }
        let known = [
            "client",
            "request",
            "reply",
            "error",
            "timer",
            "output",
            "start_error",
            "vis",
            "topic",
            "router",
            "crate",
        ];
        if !known.iter().any(|known| key == known) {
            let message = format!(
                "unknown argument `{key}`: there are `client`, `request`, `reply`, `error` and `timer` \
                 for names, `output`, `start_error`, `vis`, `derive(..)`, `topic`, `router` and `crate`"
            );
            return Err(Error::new(key.span(), message));
        }
        input.parse::<Token![=]>()?;
        match key.to_string().as_str() {
            "client" => set(&mut self.client, &key, input.parse()?),
            "request" => set(&mut self.request, &key, input.parse()?),
            "reply" => set(&mut self.reply, &key, input.parse()?),
            "error" => set(&mut self.error, &key, input.parse()?),
            "timer" => set(&mut self.timer, &key, input.parse()?),
            "output" => set(&mut self.output, &key, input.parse()?),
            "start_error" => set(&mut self.start_error, &key, input.parse()?),
            "vis" => set(&mut self.visibility, &key, input.parse()?),
            "topic" => set(&mut self.topic, &key, input.parse()?),
            "router" => set(&mut self.router, &key, path(input)?),
            _ => set(&mut self.krate, &key, path(input)?),
        }
    }

    /// Returns the path of the crate `ump-server`.
    pub(crate) fn krate(&self) -> TokenStream {
        let chosen = self.krate.as_ref().map(ToTokens::to_token_stream);
        chosen.unwrap_or_else(|| quote!(::ump_server))
    }

    /// Returns the path of the crate `ump-router`.
    pub(crate) fn router(&self) -> TokenStream {
        let chosen = self.router.as_ref().map(ToTokens::to_token_stream);
        chosen.unwrap_or_else(|| quote!(::ump_router))
    }

    /// Returns the type of the value that ends the loop.
    pub(crate) fn output(&self) -> TokenStream {
        let chosen = self.output.as_ref().map(ToTokens::to_token_stream);
        chosen.unwrap_or_else(|| quote!(()))
    }
}

/// Parses a path, plain or in quotes.
fn path(input: ParseStream<'_>) -> Result<Path> {
    if input.peek(LitStr) {
        return input.parse::<LitStr>()?.parse_with(Path::parse_mod_style);
    }
    input.call(Path::parse_mod_style)
}

fn set<T>(place: &mut Option<T>, key: &Ident, value: T) -> Result<()> {
    if place.replace(value).is_some() {
        return Err(Error::new(key.span(), format!("`{key}` is given twice")));
    }
    Ok(())
}

//! How a method answers, by its return type or its last parameter.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    AngleBracketedGenericArguments, Error, GenericArgument, PathArguments, Result, ReturnType,
    Type, spanned::Spanned,
};

use super::tokens::Scope;

/// How a method answers.
pub(crate) struct Answer {
    pub(crate) way: Way,
    /// The type of the reply.
    pub(crate) reply: TokenStream,
    /// The type of the error, unless the method cannot fail.
    pub(crate) error: Option<TokenStream>,
}

/// The way in which a method answers.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// It returns nothing, and the reply is `()`.
    Nothing,
    /// It returns the reply.
    Reply,
    /// It returns a `Result`.
    Fallible,
    /// It answers the `ReplyTo` that it takes. It returns nothing or a `ControlFlow`.
    ReplyTo,
    /// It does not answer: it is not asked by a client, or posted. It returns nothing or a
    /// `ControlFlow`.
    Flow,
}

impl Answer {
    /// Returns how a method without an answer does it.
    pub(crate) fn none() -> Self {
        Self::infallible(Way::Flow, quote!(()))
    }

    fn infallible(way: Way, reply: TokenStream) -> Self {
        Self {
            way,
            reply,
            error: None,
        }
    }

    /// Returns how a method with this return type answers.
    pub(crate) fn returned(output: &ReturnType, scope: &Scope) -> Result<Self> {
        let ReturnType::Type(_, output) = output else {
            return Ok(Self::infallible(Way::Nothing, quote!(())));
        };
        let written = output.to_token_stream();
        let returned = scope.owned(&written, "a reply")?;
        match &**output {
            Type::Tuple(tuple) if tuple.elems.is_empty() => {
                return Ok(Self::infallible(Way::Nothing, returned));
            }
            Type::Never(never) => {
                let message = "a method that never returns has no reply";
                return Err(Error::new(never.span(), message));
            }
            output => match last_segment(output) {
                Some((name, arguments)) if name == "Result" => {
                    return Ok(Self::fallible(&returned, arguments, scope));
                }
                Some((name, _)) if name == "ControlFlow" => {
                    let message = "a method that may end the loop is a `#[post]`, or takes a `ReplyTo` to \
                                   reply by itself";
                    return Err(Error::new(output.span(), message));
                }
                _ => {}
            },
        }
        Ok(Self::infallible(Way::Reply, returned))
    }

    /// Returns how a method ends that is called before or after a batch. Its error is that of the
    /// requests in the batch.
    pub(crate) fn of_hook(output: &ReturnType, scope: &Scope) -> Result<Self> {
        let answer = Self::returned(output, scope)?;
        if let Way::Nothing | Way::Fallible = answer.way {
            return Ok(answer);
        }
        let message =
            "a method that is called before or after a batch returns nothing, or a `Result<(), E>`";
        let ReturnType::Type(_, output) = output else {
            return Ok(answer);
        };
        Err(Error::new(output.span(), message))
    }

    /// Returns how a method answers that returns a `Result` with these arguments. An alias has
    /// fewer than two.
    fn fallible(returned: &TokenStream, arguments: &PathArguments, scope: &Scope) -> Self {
        let (krate, types) = (&scope.krate, types(arguments));
        let (reply, error) = if let [reply, error] = types.as_slice() {
            (
                scope.without_self(reply.to_token_stream()),
                scope.without_self(error.to_token_stream()),
            )
        } else {
            let fallible =
                quote_spanned!(returned.span()=> <#returned as #krate::service::Fallible>);
            (quote!(#fallible::Reply), quote!(#fallible::Error))
        };
        Self {
            way: Way::Fallible,
            reply,
            error: Some(error),
        }
    }

    /// Returns whether a parameter is what a method answers with.
    pub(crate) fn is_reply_to(parameter: &Type) -> bool {
        last_segment(parameter).is_some_and(|(name, _)| name == "ReplyTo")
    }

    /// Returns how a method answers with this last parameter, if that is a
    /// `ReplyTo<'_, Self, T, E>`.
    pub(crate) fn taken(parameter: &Type, scope: &Scope) -> Result<Option<Self>> {
        let Some((_, arguments)) = last_segment(parameter).filter(|_| Self::is_reply_to(parameter))
        else {
            return Ok(None);
        };
        let types = types(arguments);
        let [_, reply, rest @ ..] = types.as_slice() else {
            let message =
                "write `ReplyTo<'_, Self, T>`, or `ReplyTo<'_, Self, T, E>` if the method can fail";
            return Err(Error::new(parameter.span(), message));
        };
        let own = |ty: &&Type| scope.owned(&ty.to_token_stream(), "a reply");
        Ok(Some(Self {
            way: Way::ReplyTo,
            reply: own(reply)?,
            error: rest.first().map(own).transpose()?,
        }))
    }
}

/// Returns the name at the end of a path, and its arguments.
fn last_segment(ty: &Type) -> Option<(&Ident, &PathArguments)> {
    let Type::Path(path) = ty else {
        return None;
    };
    let last = path.path.segments.last()?;
    Some((&last.ident, &last.arguments))
}

/// Returns the arguments that are types.
fn types(arguments: &PathArguments) -> Vec<&Type> {
    let PathArguments::AngleBracketed(AngleBracketedGenericArguments { args, .. }) = arguments
    else {
        return Vec::new();
    };
    let types = args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.collect()
}

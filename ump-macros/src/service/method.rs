//! A method of the block: what it is for, its parameters, and how it replies.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    AngleBracketedGenericArguments, Attribute, Error, GenericArgument, Generics, PathArguments,
    Result, ReturnType, Token, Type, Visibility, WhereClause,
    ext::IdentExt,
    parenthesized,
    parse::{ParseStream, Parser},
    spanned::Spanned,
};

use super::{names, params::Param, tokens};

/// What a method is for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A client requests it.
    Request,
    /// A client posts it.
    Post,
    /// A timer calls it.
    Timer(Start),
    /// It is called before anything else.
    Init,
    /// It is called at the end.
    Term,
}

/// When a timer is armed. The expression is kept as text for comparison, and as tokens.
#[derive(Clone)]
pub(crate) enum Start {
    /// By the service itself.
    Never,
    /// At the start, with this period.
    Every(TokenStream),
    /// At the start, once.
    After(TokenStream),
}

impl PartialEq for Start {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Eq for Start {}

impl Kind {
    pub(crate) fn is_request(&self) -> bool {
        matches!(self, Self::Request | Self::Post)
    }
}

/// How a method answers.
pub(crate) enum Answer {
    /// It returns nothing, and the reply is `()`.
    Nothing,
    /// It returns the reply.
    Reply(Type),
    /// It returns a `Result`.
    Fallible {
        /// The type as it is written.
        returned: Type,
        /// The reply and the error, if both are written.
        parts: Option<(Type, Type)>,
    },
    /// It takes a `ReplyTo` with this reply and error.
    ByItself { reply: Type, error: Option<Type> },
    /// It is not asked by a client, or posted. It returns nothing or a `ControlFlow`.
    Flow,
}

/// A method that concerns the macro.
pub(crate) struct Method {
    pub(crate) kind: Kind,
    pub(crate) visibility: Visibility,
    pub(crate) is_async: bool,
    pub(crate) name: Ident,
    /// The name of the method as the variant of an enum.
    pub(crate) variant: Ident,
    pub(crate) params: Vec<Param>,
    pub(crate) answer: Answer,
    /// The place of the return type, for errors in it.
    pub(crate) output_span: Span,
    attributes: Vec<Attribute>,
}

impl Method {
    /// Parses a member of the block. Returns nothing if it is no method, and otherwise the member
    /// without the attributes of the macro, and the method or its error.
    pub(crate) fn parse(
        input: ParseStream<'_>,
        self_type: &Type,
    ) -> Result<Option<(TokenStream, Result<Self>)>> {
        let (own, attributes): (Vec<_>, Vec<_>) = input
            .call(Attribute::parse_outer)?
            .into_iter()
            .partition(is_own);
        let rest: TokenStream = input.fork().parse()?;
        let emitted = quote! { #(#attributes)* #rest };
        let method = Signature::parse(input).and_then(|signature| match signature {
            Some(signature) => signature.into_method(&own, attributes, self_type).map(Some),
            None => match own.first() {
                Some(own) => Err(Error::new(own.span(), "this attribute is for a method")),
                None => Ok(None),
            },
        });
        // Not consumed by an error, nor a body.
        input.parse::<TokenStream>()?;
        Ok(method.transpose().map(|method| (emitted, method)))
    }

    /// Returns the attributes that decide whether the method exists.
    pub(crate) fn cfg(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes_named(&["cfg"])
    }

    /// Returns the attributes that the client's method has as well.
    pub(crate) fn of_client(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes_named(&["cfg", "cfg_attr", "doc", "deprecated", "allow"])
    }

    pub(crate) fn is_documented(&self) -> bool {
        self.attributes_named(&["doc"]).next().is_some()
    }

    fn attributes_named(&self, names: &'static [&str]) -> impl Iterator<Item = &Attribute> {
        let is_named = |attribute: &&Attribute| {
            let path = attribute.path();
            names.iter().any(|name| path.is_ident(name))
        };
        self.attributes.iter().filter(is_named)
    }

    /// Returns the call of the method on `self`.
    pub(crate) fn call(&self, arguments: &TokenStream) -> TokenStream {
        let name = &self.name;
        let awaited = self.is_async.then(|| quote!(.await));
        quote!(self.#name(#arguments) #awaited)
    }

    /// Returns the type of the reply.
    pub(crate) fn reply(&self, krate: &TokenStream) -> TokenStream {
        match &self.answer {
            Answer::Nothing | Answer::Flow => quote!(()),
            Answer::Reply(reply) | Answer::ByItself { reply, .. } => reply.to_token_stream(),
            Answer::Fallible { returned, parts } => match parts {
                Some((reply, _)) => reply.to_token_stream(),
                None => {
                    quote_spanned!(returned.span()=> <#returned as #krate::service::Fallible>::Reply)
                }
            },
        }
    }

    /// Returns the type of the error, unless the method cannot fail.
    pub(crate) fn error(&self, krate: &TokenStream) -> Option<TokenStream> {
        match &self.answer {
            Answer::Nothing | Answer::Flow | Answer::Reply(_) => None,
            Answer::ByItself { error, .. } => error.as_ref().map(ToTokens::to_token_stream),
            Answer::Fallible { returned, parts } => Some(match parts {
                Some((_, error)) => error.to_token_stream(),
                None => {
                    quote_spanned!(returned.span()=> <#returned as #krate::service::Fallible>::Error)
                }
            }),
        }
    }
}

/// The signature of a method, as it is written.
struct Signature {
    visibility: Visibility,
    is_async: bool,
    unsafety: Option<Token![unsafe]>,
    name: Ident,
    generics: Generics,
    receiver: TokenStream,
    params: Vec<Param>,
    output: ReturnType,
}

impl Signature {
    /// Parses a signature. Returns nothing if it is no method.
    fn parse(input: ParseStream<'_>) -> Result<Option<Self>> {
        let visibility = input.parse()?;
        input.parse::<Option<Token![const]>>()?;
        let is_async = input.parse::<Option<Token![async]>>()?.is_some();
        let unsafety = input.parse()?;
        if input.parse::<Option<Token![fn]>>()?.is_none() {
            return Ok(None);
        }
        let name = input.call(Ident::parse_any)?;
        let generics = input.parse()?;
        let inputs;
        parenthesized!(inputs in input);
        let mut inputs = split(inputs.parse()?).into_iter();
        let Some(receiver) = inputs.next().filter(is_receiver) else {
            return Ok(None);
        };
        let params = inputs
            .enumerate()
            .map(|(index, tokens)| Param::parse(index, tokens))
            .collect::<Result<_>>()?;
        let output = input.parse()?;
        input.parse::<Option<WhereClause>>()?;
        Ok(Some(Self {
            visibility,
            is_async,
            unsafety,
            name,
            generics,
            receiver,
            params,
            output,
        }))
    }

    fn into_method(
        self,
        own: &[Attribute],
        attributes: Vec<Attribute>,
        self_type: &Type,
    ) -> Result<Method> {
        let kind = kind(own)?;
        self.check()?;
        let output_span = match &self.output {
            ReturnType::Default => self.name.span(),
            ReturnType::Type(_, output) => output.span(),
        };
        let mut params = self.params;
        let taken = match params.last() {
            Some(last) if kind.is_request() => reply_to(&last.ty)?,
            _ => None,
        };
        if taken.is_some() {
            params.pop();
        }
        let self_type = self_type.to_token_stream();
        let own_type = |ty: Type| -> Result<Type> {
            syn::parse2(tokens::without_self(ty.to_token_stream(), &self_type))
        };
        if !matches!(kind, Kind::Init | Kind::Term) {
            for param in &mut params {
                tokens::check_owned(&param.ty.to_token_stream(), "an argument")?;
                param.ty = own_type(param.ty.clone())?;
            }
        }
        let answer = match (taken, kind.is_request(), self.output) {
            (Some((reply, error)), ..) => Answer::ByItself {
                reply: own_type(reply)?,
                error: error.map(own_type).transpose()?,
            },
            (None, true, output) if kind == Kind::Request => answer(output)?.map(own_type)?,
            _ => Answer::Flow,
        };
        Ok(Method {
            kind,
            visibility: self.visibility,
            is_async: self.is_async,
            variant: names::variant(&self.name),
            name: self.name,
            params,
            answer,
            output_span,
            attributes,
        })
    }

    /// Checks what concerns all kinds of methods.
    fn check(&self) -> Result<()> {
        if let Some(unsafety) = self.unsafety {
            let message =
                "a client calls the methods of a service, and cannot know what an unsafe one needs";
            return Err(Error::new(unsafety.span(), message));
        }
        if let Some(generic) = self.generics.params.first() {
            let message = "a message has one type, so a method of a service has no parameters of its own: \
                           declare them on the `impl` block";
            return Err(Error::new(generic.span(), message));
        }
        let receiver: Vec<_> = self.receiver.clone().into_iter().collect();
        let is_borrowed = receiver
            .first()
            .is_some_and(|token| tokens::is_punct(token, '&'));
        let mut others = receiver.iter().skip(1);
        let is_plain =
            others.all(|token| tokens::is_ident(token, "mut") || tokens::is_ident(token, "self"));
        if is_borrowed && is_plain {
            return Ok(());
        }
        let message = "the methods of a service take `&mut self` or `&self`";
        Err(Error::new_spanned(&self.receiver, message))
    }
}

impl Answer {
    fn map(self, change: impl Fn(Type) -> Result<Type>) -> Result<Self> {
        Ok(match self {
            Self::Reply(reply) => Self::Reply(change(reply)?),
            Self::Fallible { returned, parts } => Self::Fallible {
                returned: change(returned)?,
                parts: match parts {
                    Some((reply, error)) => Some((change(reply)?, change(error)?)),
                    None => None,
                },
            },
            other => other,
        })
    }
}

/// Returns how a method of this return type answers.
fn answer(output: ReturnType) -> Result<Answer> {
    let ReturnType::Type(_, output) = output else {
        return Ok(Answer::Nothing);
    };
    let output = *output;
    if matches!(&output, Type::Tuple(tuple) if tuple.elems.is_empty()) {
        return Ok(Answer::Nothing);
    }
    tokens::check_owned(&output.to_token_stream(), "a reply")?;
    let Some((name, arguments)) = last_segment(&output) else {
        return Ok(Answer::Reply(output));
    };
    if name == "ControlFlow" {
        let message = "a method that may end the loop is a `#[post]`, or takes a `ReplyTo` to reply by itself";
        return Err(Error::new(output.span(), message));
    }
    if name != "Result" {
        return Ok(Answer::Reply(output));
    }
    let mut types = types(arguments).into_iter();
    let parts = match (types.next(), types.next()) {
        (Some(reply), Some(error)) => Some((reply, error)),
        _ => None,
    };
    Ok(Answer::Fallible {
        returned: output,
        parts,
    })
}

/// Returns the reply and the error of `ReplyTo<'_, Self, T, E>`, if it is that.
fn reply_to(ty: &Type) -> Result<Option<(Type, Option<Type>)>> {
    let Some((name, arguments)) = last_segment(ty) else {
        return Ok(None);
    };
    if name != "ReplyTo" {
        return Ok(None);
    }
    let mut types = types(arguments).into_iter().skip(1);
    match types.next() {
        Some(reply) => Ok(Some((reply, types.next()))),
        None => {
            let message = "write `ReplyTo<'_, Self, T>`, or `ReplyTo<'_, Self, T, E>` for a method that can fail";
            Err(Error::new(ty.span(), message))
        }
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
fn types(arguments: &PathArguments) -> Vec<Type> {
    let arguments = match arguments {
        PathArguments::AngleBracketed(AngleBracketedGenericArguments { args, .. }) => Some(args),
        _ => None,
    };
    let types = arguments
        .into_iter()
        .flatten()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty.clone()),
            _ => None,
        });
    types.collect()
}

const OWN: [&str; 4] = ["post", "timer", "init", "term"];

/// Returns whether it is an attribute of the macro.
fn is_own(attribute: &Attribute) -> bool {
    OWN.iter().any(|name| attribute.path().is_ident(name))
}

/// Returns what the attributes of the macro say that a method is for.
fn kind(own: &[Attribute]) -> Result<Kind> {
    let Some(attribute) = own.first() else {
        return Ok(Kind::Request);
    };
    if let Some(second) = own.get(1) {
        return Err(Error::new(second.span(), "a method is for one thing only"));
    }
    if attribute.path().is_ident("timer") {
        return start(attribute).map(Kind::Timer);
    }
    attribute.meta.require_path_only()?;
    Ok(if attribute.path().is_ident("post") {
        Kind::Post
    } else if attribute.path().is_ident("init") {
        Kind::Init
    } else {
        Kind::Term
    })
}

/// Parses `#[timer]`, `#[timer(every = ..)]` or `#[timer(after = ..)]`.
fn start(attribute: &Attribute) -> Result<Start> {
    if attribute.meta.require_path_only().is_ok() {
        return Ok(Start::Never);
    }
    let list = attribute.meta.require_list()?;
    let parse = |input: ParseStream<'_>| {
        let key: Ident = input.parse()?;
        input.parse::<Token![=]>()?;
        let when: TokenStream = input.parse()?;
        match key.to_string().as_str() {
            _ if when.is_empty() => Err(input.error("expected a duration")),
            "every" => Ok(Start::Every(when)),
            "after" => Ok(Start::After(when)),
            _ => Err(Error::new(
                key.span(),
                "expected `every = ..` or `after = ..`",
            )),
        }
    };
    parse.parse2(list.tokens.clone())
}

/// Splits the inputs of a function at their commas.
fn split(inputs: TokenStream) -> Vec<TokenStream> {
    let mut split = Vec::new();
    let mut current = TokenStream::new();
    let mut depth = 0;
    let mut before = None;
    for token in inputs {
        if let TokenTree::Punct(punct) = &token {
            match punct.as_char() {
                '<' => depth += 1,
                '>' if !matches!(before, Some('-' | '=')) => depth -= 1,
                ',' if depth == 0 => {
                    split.push(std::mem::take(&mut current));
                    before = None;
                    continue;
                }
                _ => {}
            }
            before = Some(punct.as_char());
        } else {
            before = None;
        }
        current.extend([token]);
    }
    if !current.is_empty() {
        split.push(current);
    }
    split
}

/// Returns whether it is the receiver of a method.
fn is_receiver(input: &TokenStream) -> bool {
    let mut tokens = input.clone().into_iter().filter(|token| {
        let is_attribute =
            matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket);
        !is_attribute && !tokens::is_punct(token, '#')
    });
    loop {
        match tokens.next() {
            Some(token) if tokens::is_ident(&token, "self") => return true,
            // `&'a mut self`
            Some(token) if tokens::is_punct(&token, '&') || tokens::is_ident(&token, "mut") => {}
            Some(token) if tokens::is_punct(&token, '\'') => drop(tokens.next()),
            _ => return false,
        }
    }
}

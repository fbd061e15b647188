//! The generic parameters of the block that a generated type has.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{GenericParam, Generics, WherePredicate};

use crate::service::{local, tokens};

/// The generic parameters of the block that a generated type uses.
///
/// A type has no parameter that it does not use, and no bound that it does not need: it needs those
/// of a parameter whose associated types it names.
pub(super) struct Parameters<'a> {
    params: Vec<&'a GenericParam>,
    predicates: Vec<&'a WherePredicate>,
    has_bounds: bool,
    /// The types that only methods under a `#[cfg]` use. Where those do not exist, the enum needs
    /// another variant that uses them.
    conditional: Vec<&'a Ident>,
}

impl<'a> Parameters<'a> {
    /// Returns those that occur in the tokens.
    pub(super) fn used(generics: &'a Generics, types: &TokenStream) -> Self {
        let is_used =
            |param: &&GenericParam| name(param).is_some_and(|name| tokens::mentions(types, name));
        let params: Vec<_> = generics.params.iter().filter(is_used).collect();
        let has_bounds = (params.iter())
            .filter_map(|param| name(param))
            .any(|name| tokens::projects(types, name));
        let others = generics.params.iter().filter(|param| !is_used(param));
        let others: Vec<_> = others.filter_map(name).collect();
        let concerns = |predicate: &&WherePredicate| {
            let predicate = predicate.to_token_stream();
            !others
                .iter()
                .any(|&other| tokens::mentions(&predicate, other))
        };
        let predicates = generics
            .where_clause
            .iter()
            .flat_map(|clause| &clause.predicates);
        let predicates = predicates.filter(|_| has_bounds).filter(concerns).collect();
        Self {
            params,
            predicates,
            has_bounds,
            conditional: Vec::new(),
        }
    }

    /// Notes which of the parameters do not occur in these tokens, which are of methods that exist
    /// in any case.
    pub(super) fn certainly(mut self, types: &TokenStream) -> Self {
        let conditional = self.params.iter().filter_map(|param| match param {
            GenericParam::Type(param) => Some(&param.ident),
            _ => None,
        });
        let conditional = conditional.filter(|&name| !tokens::mentions(types, name));
        self.conditional = conditional.collect();
        self
    }

    /// Returns a variant of an enum that has no values, if there are parameters that might not be
    /// used otherwise.
    pub(super) fn unused_variant(&self) -> Option<TokenStream> {
        let names = &self.conditional;
        let unused = quote! {
            #[doc(hidden)]
            __Unused(
                ::core::convert::Infallible,
                ::core::marker::PhantomData<fn() -> (#(#names,)*)>,
            )
        };
        (!names.is_empty()).then_some(unused)
    }

    /// Returns the arm of a match for that variant.
    pub(super) fn unused_arm(&self, name: &Ident) -> Option<TokenStream> {
        let never = local("never");
        let arm = quote!(#name::__Unused(ref #never, _) => match *#never {},);
        (!self.conditional.is_empty()).then_some(arm)
    }

    /// Returns `<T, const N: usize>`, with bounds where they are needed.
    pub(super) fn declared(&self) -> Option<TokenStream> {
        let params = self.params.iter().map(|param| match param {
            GenericParam::Type(param) => {
                let (name, bounds) = (&param.ident, &param.bounds);
                if self.has_bounds {
                    quote!(#name: #bounds)
                } else {
                    quote!(#name)
                }
            }
            GenericParam::Const(param) => {
                let (name, ty) = (&param.ident, &param.ty);
                quote!(const #name: #ty)
            }
            GenericParam::Lifetime(_) => TokenStream::new(),
        });
        (!self.params.is_empty()).then(|| quote!(<#(#params),*>))
    }

    /// Returns `<T, N>`.
    pub(super) fn arguments(&self) -> Option<TokenStream> {
        let names = self.params.iter().filter_map(|param| name(param));
        (!self.params.is_empty()).then(|| quote!(<#(#names),*>))
    }

    /// Returns the predicates of the `where` clause.
    pub(super) fn predicates(&self) -> &[&'a WherePredicate] {
        &self.predicates
    }

    /// Returns the `where` clause, if one is needed.
    pub(super) fn where_clause(&self) -> Option<TokenStream> {
        let predicates = &self.predicates;
        (!predicates.is_empty()).then(|| quote!(where #(#predicates),*))
    }
}

/// Returns the name of a parameter that is not a lifetime.
pub(crate) fn name(param: &GenericParam) -> Option<&Ident> {
    match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        GenericParam::Lifetime(_) => None,
    }
}

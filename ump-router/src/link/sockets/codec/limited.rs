//! Limits for a deserializer that has none: how deep values are nested, and how many elements a
//! payload has. Without them a short payload could overflow the stack, through a type that contains
//! itself, or take centuries, as a sequence of 2⁶⁰ elements without any bytes.

use std::{cell::Cell, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// How deep values are nested.
const MAX_DEPTH: u32 = 128;

/// How many elements a payload may have beyond the number of its bytes.
const MORE_ELEMENTS: usize = 1 << 16;

/// What is left of the limits of a payload.
pub(super) struct Limits {
    depth: Cell<u32>,
    elements: Cell<usize>,
}

impl Limits {
    /// The limits of a payload with so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            depth: Cell::new(MAX_DEPTH),
            elements: Cell::new(bytes.saturating_add(MORE_ELEMENTS)),
        }
    }

    /// Counts an element of a sequence or map.
    fn count<E: Error>(&self) -> Result<(), E> {
        let left = self.elements.get().checked_sub(1);
        self.elements
            .set(left.ok_or_else(|| E::custom("too many elements"))?);
        Ok(())
    }

    /// Decodes what is nested in a value.
    fn nested<T, E: Error>(&self, decode: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let depth = self.depth.get();
        let below = depth.checked_sub(1);
        self.depth
            .set(below.ok_or_else(|| E::custom("nested too deep"))?);
        let decoded = decode();
        self.depth.set(depth);
        decoded
    }
}

/// A deserializer, visitor, access or seed that keeps to the limits.
pub(super) struct Limited<'l, T> {
    inner: T,
    limits: &'l Limits,
    /// Whether the elements are counted, as of a sequence or map: there may be any number of them.
    counts: bool,
}

impl<'l, T> Limited<'l, T> {
    pub(super) fn new(inner: T, limits: &'l Limits) -> Self {
        let counts = false;
        Self {
            inner,
            limits,
            counts,
        }
    }

    fn counting(inner: T, limits: &'l Limits) -> Self {
        let counts = true;
        Self {
            inner,
            limits,
            counts,
        }
    }
}

/// Values without others in them.
macro_rules! plain {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.inner.$method(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Limited<'_, D> {
    type Error = D::Error;

    plain! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = Limited::new(visitor, self.limits);
        self.inner.deserialize_option(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Limited::new(visitor, self.limits);
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = Limited::counting(visitor, self.limits);
        self.inner.deserialize_seq(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Limited::new(visitor, self.limits);
        self.inner.deserialize_tuple(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Limited::new(visitor, self.limits);
        self.inner.deserialize_tuple_struct(name, length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = Limited::counting(visitor, self.limits);
        self.inner.deserialize_map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Limited::new(visitor, self.limits);
        self.inner.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Limited::new(visitor, self.limits);
        self.inner.deserialize_enum(name, variants, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// A visitor of values with others in them.
impl<'de, V: Visitor<'de>> Visitor<'de> for Limited<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let Self {
            inner: visitor,
            limits,
            ..
        } = self;
        limits.nested(|| visitor.visit_some(Limited::new(inner, limits)))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let Self {
            inner: visitor,
            limits,
            ..
        } = self;
        limits.nested(|| visitor.visit_newtype_struct(Limited::new(inner, limits)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let (limits, counts) = (self.limits, self.counts);
        let access = Limited {
            inner: access,
            limits,
            counts,
        };
        limits.nested(|| self.inner.visit_seq(access))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let (limits, counts) = (self.limits, self.counts);
        let access = Limited {
            inner: access,
            limits,
            counts,
        };
        limits.nested(|| self.inner.visit_map(access))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let limits = self.limits;
        limits.nested(|| self.inner.visit_enum(Limited::new(access, limits)))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Limited<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Limited::new(inner, self.limits))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Limited<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if self.counts {
            self.limits.count()?;
        }
        self.inner
            .next_element_seed(Limited::new(seed, self.limits))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Limited<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if self.counts {
            self.limits.count()?;
        }
        self.inner.next_key_seed(Limited::new(seed, self.limits))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Limited::new(seed, self.limits))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 'l, A: EnumAccess<'de>> EnumAccess<'de> for Limited<'l, A> {
    type Error = A::Error;
    type Variant = Limited<'l, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let limits = self.limits;
        let (value, variant) = self.inner.variant_seed(Limited::new(seed, limits))?;
        Ok((value, Limited::new(variant, limits)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Limited<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = Limited::new(seed, self.limits);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = Limited::new(visitor, self.limits);
        self.inner.tuple_variant(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = Limited::new(visitor, self.limits);
        self.inner.struct_variant(fields, visitor)
    }
}

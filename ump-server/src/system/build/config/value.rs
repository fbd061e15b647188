//! Values of a configuration, in a notation that is easy to write.

use std::{collections::BTreeMap, fmt, marker::PhantomData, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Unexpected, Visitor},
};

/// A duration: milliseconds, or a number with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Humane(pub(super) Duration);

impl<'de> Deserialize<'de> for Humane {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfDuration).map(Self)
    }
}

struct OfDuration;

impl Visitor<'_> for OfDuration {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration: milliseconds, or a text like \"250us\", \"10ms\", \"1.5s\", \"5min\", \"1h\" or \"2d\"")
    }

    fn visit_u64<E: Error>(self, milliseconds: u64) -> Result<Duration, E> {
        Ok(Duration::from_millis(milliseconds))
    }

    fn visit_i64<E: Error>(self, milliseconds: i64) -> Result<Duration, E> {
        u64::try_from(milliseconds)
            .map(Duration::from_millis)
            .map_err(|_| E::invalid_value(Unexpected::Signed(milliseconds), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        duration(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// Parses a duration: a number, optionally with a fraction, and a unit.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit);
    let unit: u64 = match unit.trim_start() {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    // Integer arithmetic is exact to the nanosecond.
    let digits = u32::try_from(fraction.len()).ok()?;
    let scale = 10_u128.checked_pow(digits)?;
    let fraction = u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit) / scale;
    let nanoseconds = whole.checked_add(u64::try_from(fraction).ok()?)?;
    Some(Duration::from_nanos(nanoseconds))
}

/// A capacity: a number of at least one, or `"unbounded"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capacity(pub(super) usize);

impl<'de> Deserialize<'de> for Capacity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfCapacity).map(Self)
    }
}

struct OfCapacity;

impl Visitor<'_> for OfCapacity {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of requests, at least 1, or \"unbounded\"")
    }

    fn visit_u64<E: Error>(self, requests: u64) -> Result<usize, E> {
        match usize::try_from(requests) {
            Ok(capacity) if capacity > 0 => Ok(capacity),
            _ => Err(E::invalid_value(Unexpected::Unsigned(requests), &self)),
        }
    }

    fn visit_i64<E: Error>(self, requests: i64) -> Result<usize, E> {
        match u64::try_from(requests) {
            Ok(requests) => self.visit_u64(requests),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(requests), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
        if text == "unbounded" {
            Ok(usize::MAX)
        } else {
            Err(E::invalid_value(Unexpected::Str(text), &self))
        }
    }
}

/// A priority from 0 to 99.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg(feature = "scheduling")]
pub(super) struct Priority(pub(super) u8);

#[cfg(feature = "scheduling")]
impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        match u8::try_from(number) {
            Ok(priority) if priority < 100 => Ok(Self(priority)),
            _ => Err(D::Error::invalid_value(
                Unexpected::Signed(number),
                &"a priority from 0 to 99",
            )),
        }
    }
}

/// Deserializes a table, and rejects a key that occurs twice, which JSON would allow.
pub(super) fn distinct<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    deserializer.deserialize_map(OfTable(PhantomData))
}

struct OfTable<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for OfTable<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut table = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, V>()? {
            if table.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{name} is defined twice")));
            }
            table.insert(name, value);
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, milliseconds) in [
            ("0ms", 0),
            ("250ms", 250),
            ("10s", 10_000),
            (" 1.5 s ", 1_500),
            ("5min", 300_000),
            ("1h", 3_600_000),
            ("0.5d", 43_200_000),
        ] {
            let expected = Some(Duration::from_millis(milliseconds));
            assert_eq!(duration(text), expected, "{text}");
        }
        assert_eq!(duration("7us"), Some(Duration::from_micros(7)));
        assert_eq!(duration("0.001ms"), Some(Duration::from_micros(1)));
    }

    #[test]
    fn what_is_no_duration_is_none() {
        let most = format!("{}d", u64::MAX);
        for text in [
            "", "s", "10", "-1s", "1 year", "1..5s", ".s", "1.s", "1s2", &most,
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}

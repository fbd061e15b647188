//! Channel data: a header of four bytes, instead of the thirty-six of an indication.

/// The numbers of channels. Those from 0x5000 on were taken from clients by RFC 8656; clients of
/// RFC 5766 use them.
pub(crate) const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7FFF;

/// Returns the channel and the data. `None` if the datagram is no channel data. Padding after the
/// data is ignored.
pub(crate) fn parse(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let (&[channel_0, channel_1, length_0, length_1], rest) = datagram.split_first_chunk()?;
    let channel = u16::from_be_bytes([channel_0, channel_1]);
    let length = usize::from(u16::from_be_bytes([length_0, length_1]));
    let data = rest.get(..length)?;
    CHANNELS.contains(&channel).then_some((channel, data))
}

/// Returns the datagram. `None` if the data is too long.
pub(crate) fn write(channel: u16, data: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(data.len()).ok()?;
    let mut datagram = Vec::with_capacity(data.len() + 4);
    datagram.extend(channel.to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend(data);
    Some(datagram)
}

//! What a layer is compressed with. Its first bytes decide, not what is said of it: archives say it wrongly at times.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

/// How large a window of zstd's may be, as a power of two: that of `zstd --long`, which is also its own default.
const WINDOW: u32 = 27;

/// Reads what a compressed stream has in it.
pub(crate) fn open<'a>(mut inner: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let refuse = |what: &str| {
        Err(io::Error::other(format!(
            "it is compressed with {what}, which images' layers are not"
        )))
    };
    match inner.fill_buf()? {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(inner))),
        // A frame, or one that is to be skipped, as zstd:chunked has.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(inner)?;
            decoder.window_log_max(WINDOW)?;
            Ok(Box::new(decoder))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => refuse("xz"),
        [b'B', b'Z', b'h', ..] => refuse("bzip2"),
        _ => Ok(Box::new(inner)),
    }
}

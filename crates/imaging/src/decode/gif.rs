//! GIF decoding: the first frame, placed on the canvas.

use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::format::Format;

pub(super) fn decode(file: &[u8]) -> Result<Bitmap, Error> {
    let broken = |error: gif::DecodingError| Error::broken(Format::Gif, error);
    let incomplete = || Error::broken(Format::Gif, "its image data is incomplete");
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    // The header was checked against the limits. Frames that reach beyond the canvas are refused.
    options.set_memory_limit(MemoryLimit::Unlimited);
    options.check_frame_consistency(true);
    let mut decoder = options.read_info(file).map_err(broken)?;
    let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    let length = Bitmap::byte_count(width, height, Channels::Rgba).ok_or_else(incomplete)?;
    let frame = decoder
        .read_next_frame()
        .map_err(broken)?
        .ok_or_else(incomplete)?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let row = usize::from(frame.width) * 4;
    let mut pixels = vec![0; length];
    if row > 0 {
        let lines = pixels.chunks_exact_mut(width as usize * 4).skip(top);
        for (line, source) in lines.zip(frame.buffer.chunks_exact(row)) {
            line.get_mut(left * 4..left * 4 + row)
                .ok_or_else(incomplete)?
                .copy_from_slice(source);
        }
    }
    Bitmap::new(width, height, Channels::Rgba, pixels).ok_or_else(incomplete)
}

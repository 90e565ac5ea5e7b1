//! GIF headers: screen descriptor and frame descriptors. Skips the pixel data without decoding it.

use gif::{DecodeOptions, MemoryLimit};

use crate::error::Error;
use crate::format::Format;
use crate::header::{FormatInfo, Header, pixels};

pub(super) fn read(file: &[u8]) -> Result<Header, Error> {
    let broken = |error: gif::DecodingError| Error::broken(Format::Gif, error);
    let mut options = DecodeOptions::new();
    options.skip_frame_decoding(true);
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(file).map_err(broken)?;
    let (width, height) = (decoder.width().into(), decoder.height().into());
    let mut frames = 0_u32;
    let mut sum = 0_u64;
    // Viewers play a truncated animation as far as it goes, so one complete frame header is enough.
    while let Ok(Some(frame)) = decoder.next_frame_info() {
        frames = frames.saturating_add(1);
        // Each frame is composed on the whole canvas.
        let area = u64::from(frame.width) * u64::from(frame.height);
        sum = sum.saturating_add(area.max(pixels(width, height, 1)));
    }
    if frames == 0 {
        return Err(Error::broken(Format::Gif, "it has no frame"));
    }
    Ok(Header {
        format: Format::Gif,
        width,
        height,
        frames,
        pixels: sum,
        alpha: true,
        bit_depth: 8,
        orientation: None,
        exif: None,
        icc: decoder.icc_profile().map(<[u8]>::to_vec),
        info: FormatInfo::Gif,
    })
}

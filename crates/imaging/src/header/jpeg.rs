//! JPEG headers: the marker segments before the first scan (ITU-T T.81, annex B).

use crate::error::Error;
use crate::format::Format;
use crate::header::{FormatInfo, Header, METADATA_MAX, pixels};
use crate::jpeg::marker;

/// Frame header (T.81, B.2.2), with what the application segments say about colour.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) progressive: bool,
    pub(crate) components: Vec<Component>,
    /// `true` if there is a JFIF segment, which excludes RGB (T.871, 10.1).
    pub(crate) jfif: bool,
    /// Number of components in the first scan.
    first_scan_components: u8,
    /// Transform flag of the Adobe segment, if there is one (T.872, 6.5.3).
    pub(crate) adobe_transform: Option<u8>,
}

/// Component of a frame, with its sampling factors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Component {
    pub(crate) identifier: u8,
    pub(crate) horizontal: u8,
    pub(crate) vertical: u8,
    /// Selector of the quantisation table.
    pub(crate) quantisation: u8,
}

impl Frame {
    /// `true` if the coefficients of the whole image must be kept until the last scan.
    pub(crate) fn needs_coefficient_buffer(&self) -> bool {
        self.progressive || usize::from(self.first_scan_components) != self.components.len()
    }

    /// Largest horizontal and vertical sampling factor (Hmax and Vmax).
    pub(crate) fn max_sampling_factors(&self) -> (usize, usize) {
        let across = self.components.iter().map(|c| c.horizontal).max();
        let down = self.components.iter().map(|c| c.vertical).max();
        (across.unwrap_or(1).into(), down.unwrap_or(1).into())
    }

    /// Number of samples of all components for so many pixels.
    pub(crate) fn samples(&self, pixels: u64) -> u64 {
        let density = |c: &Component| u64::from(c.horizontal) * u64::from(c.vertical);
        let (across, down) = self.max_sampling_factors();
        let max_product = (across * down) as u64;
        let sum: u64 = self.components.iter().map(density).sum();
        // Incomplete blocks at the edges are small compared to the allowance elsewhere.
        (pixels * sum).div_ceil(max_product)
    }
}

pub(super) fn read(file: &[u8]) -> Result<Header, Error> {
    let mut frame = None;
    let mut adobe_transform = None;
    let mut jfif = false;
    let mut exif = None;
    let mut icc = IccChunks::default();
    let mut segments = Segments::new(file);
    let first_scan_components = loop {
        let segment = segments
            .next_segment()
            .filter(|segment| segment.marker != marker::EOI)
            .ok_or_else(|| Error::broken(Format::Jpeg, "it is truncated before its image data"))?;
        match segment.marker {
            marker::SOS => {
                break segment.content.first().copied().unwrap_or(0);
            }
            marker::APP0 => jfif |= segment.content.starts_with(b"JFIF\0"),
            marker::DHP => {
                return Err(Error::UnsupportedFeature {
                    format: Format::Jpeg,
                    feature: "hierarchical coding",
                });
            }
            // SOF0 to SOF15, between which are DHT, JPG and DAC.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf if frame.is_none() => {
                frame = Some(read_frame(segment)?);
            }
            // Some cameras write a second EXIF segment, which editors ignore.
            marker::APP1 if exif.is_none() => {
                exif = segment
                    .content
                    .strip_prefix(b"Exif\0")
                    .and_then(|content| content.get(1..))
                    .map(<[u8]>::to_vec);
            }
            marker::APP2 => icc.add(segment.content),
            marker::APP14 => {
                if let [
                    b'A',
                    b'd',
                    b'o',
                    b'b',
                    b'e',
                    _,
                    _,
                    _,
                    _,
                    _,
                    _,
                    transform,
                    ..,
                ] = segment.content
                {
                    adobe_transform = Some(*transform);
                }
            }
            _ => {}
        }
    };
    let (width, height, mut frame) = frame.ok_or_else(|| {
        Error::broken(Format::Jpeg, "it has no frame header before its first scan")
    })?;
    frame.adobe_transform = adobe_transform;
    frame.jfif = jfif;
    frame.first_scan_components = first_scan_components;
    Ok(Header {
        format: Format::Jpeg,
        width,
        height,
        frames: 1,
        pixels: pixels(width, height, 1),
        alpha: false,
        bit_depth: 8,
        orientation: None,
        exif,
        icc: icc.join(),
        info: FormatInfo::Jpeg(frame),
    })
}

/// Marker segment (T.81, B.1.1.4).
#[derive(Clone, Copy)]
pub(crate) struct Segment<'f> {
    pub(crate) marker: u8,
    pub(crate) content: &'f [u8],
}

/// Reader of a file's segments. Skips bytes between two segments, as other decoders do, because many files
/// have some.
pub(crate) struct Segments<'f> {
    file: &'f [u8],
    position: usize,
}

impl<'f> Segments<'f> {
    pub(crate) fn new(file: &'f [u8]) -> Self {
        Self { file, position: 2 }
    }

    /// Returns the next segment, or `None` if the file ends before the segment does.
    pub(crate) fn next_segment(&mut self) -> Option<Segment<'f>> {
        let rest = self.file.get(self.position..)?;
        let start = rest.windows(2).position(|pair| {
            pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff | 0x01 | 0xd0..=0xd8)
        })?;
        let marker = *rest.get(start + 1)?;
        let rest = rest.get(start + 2..)?;
        self.position += start + 2;
        // EOI has no content.
        if marker == marker::EOI {
            return Some(Segment {
                marker,
                content: &[],
            });
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let content = rest.get(2..length)?;
        self.position += length;
        Some(Segment { marker, content })
    }

    /// Position from which the next segment is searched.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Continues the search from this position.
    pub(crate) fn seek(&mut self, position: usize) {
        self.position = position;
    }
}

fn read_frame(segment: Segment<'_>) -> Result<(u32, u32, Frame), Error> {
    let unsupported = |feature| Error::UnsupportedFeature {
        format: Format::Jpeg,
        feature,
    };
    match segment.marker {
        marker::SOF0..=marker::SOF2 => {}
        marker::SOF3 => return Err(unsupported("lossless coding")),
        0xc9..=0xcb | 0xcd..=0xcf => return Err(unsupported("arithmetic coding")),
        _ => return Err(unsupported("hierarchical coding")),
    }
    let [precision, h1, h0, w1, w0, count, components @ ..] = segment.content else {
        return Err(Error::broken(Format::Jpeg, "its frame header is too short"));
    };
    if *precision != 8 {
        return Err(unsupported("more than 8 bits per channel"));
    }
    if !matches!(count, 1 | 3 | 4) {
        return Err(unsupported("a number of components other than 1, 3 or 4"));
    }
    let (components, _) = components.as_chunks::<3>();
    let mut components: Vec<Component> = components
        .iter()
        .take(usize::from(*count))
        .map(|&[identifier, sampling, quantisation]| Component {
            identifier,
            horizontal: sampling >> 4,
            vertical: sampling & 15,
            quantisation,
        })
        .collect();
    if components.len() != usize::from(*count)
        || components
            .iter()
            .any(|c| !(1..=4).contains(&c.horizontal) || !(1..=4).contains(&c.vertical))
    {
        return Err(Error::broken(Format::Jpeg, "its frame header is invalid"));
    }
    if let [only] = components.as_mut_slice() {
        // The sampling factors of a single component have no effect (T.81, A.2.2).
        (only.horizontal, only.vertical) = (1, 1);
    }
    let frame = Frame {
        progressive: segment.marker == marker::SOF2,
        components,
        jfif: false,
        first_scan_components: 0,
        adobe_transform: None,
    };
    let width = u16::from_be_bytes([*w1, *w0]).into();
    let height = u16::from_be_bytes([*h1, *h0]).into();
    Ok((width, height, frame))
}

/// ICC profile, split over several segments (ICC.1:2022, B.4).
#[derive(Default)]
struct IccChunks<'f> {
    chunks: Vec<(u8, &'f [u8])>,
}

impl<'f> IccChunks<'f> {
    fn add(&mut self, content: &'f [u8]) {
        // The sequence number is one byte.
        if self.chunks.len() < 255
            && let Some([number, _, chunk @ ..]) = content.strip_prefix(b"ICC_PROFILE\0")
        {
            self.chunks.push((*number, chunk));
        }
    }

    fn join(mut self) -> Option<Vec<u8>> {
        self.chunks.sort_by_key(|(number, _)| *number);
        let length: usize = self.chunks.iter().map(|(_, chunk)| chunk.len()).sum();
        (1..=METADATA_MAX).contains(&length).then(|| {
            self.chunks
                .iter()
                .flat_map(|(_, chunk)| *chunk)
                .copied()
                .collect()
        })
    }
}

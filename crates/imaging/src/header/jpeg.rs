//! JPEG's segments up to the first scan (ITU-T T.81, annex B).

use crate::error::Error;
use crate::format::Format;
use crate::header::{Header, Layout, METADATA_MAX, pixels};

/// What the frame header says (T.81, B.2.2).
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) progressive: bool,
    pub(crate) components: Vec<Component>,
    /// Whether there is a JFIF segment, and so no red, green and blue (T.871, 10.1).
    pub(crate) jfif: bool,
    /// How many components the first scan codes.
    first_scan: u8,
    /// What the Adobe segment says about the colours, if there is one (T.872, 6.5.3).
    pub(crate) adobe_transform: Option<u8>,
}

/// A component, and how many samples of it there are beside those of others, across and down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Component {
    pub(crate) identifier: u8,
    pub(crate) horizontal: u8,
    pub(crate) vertical: u8,
    /// The number of its quantisation table.
    pub(crate) quantisation: u8,
}

impl Frame {
    /// Whether decoding has to wait for the last scan.
    pub(crate) fn keeps_coefficients(&self) -> bool {
        self.progressive || usize::from(self.first_scan) != self.components.len()
    }

    /// The most samples that a component has beside those of others, across and down.
    pub(crate) fn densest(&self) -> (usize, usize) {
        let across = self.components.iter().map(|c| c.horizontal).max();
        let down = self.components.iter().map(|c| c.vertical).max();
        (across.unwrap_or(1).into(), down.unwrap_or(1).into())
    }

    /// How many samples all components have of so many pixels.
    pub(crate) fn samples(&self, pixels: u64) -> u64 {
        let density = |c: &Component| u64::from(c.horizontal) * u64::from(c.vertical);
        let (across, down) = self.densest();
        let densest = (across * down) as u64;
        let sum: u64 = self.components.iter().map(density).sum();
        // Incomplete blocks at the edges are small beside what is added for everything else.
        (pixels * sum).div_ceil(densest)
    }
}

pub(super) fn read(file: &[u8]) -> Result<Header, Error> {
    let mut frame = None;
    let mut adobe_transform = None;
    let mut jfif = false;
    let mut exif = None;
    let mut icc = IccParts::default();
    let mut segments = Segments::of(file);
    let first_scan = loop {
        let segment = segments
            .next_segment()
            .filter(|segment| segment.marker != 0xd9)
            .ok_or_else(|| Error::broken(Format::Jpeg, "it ends before its pixels"))?;
        match segment.marker {
            0xda => {
                break segment.content.first().copied().unwrap_or(0);
            }
            0xe0 => jfif |= segment.content.starts_with(b"JFIF\0"),
            0xde => {
                return Err(Error::UnsupportedFeature {
                    format: Format::Jpeg,
                    feature: "hierarchical coding",
                });
            }
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf if frame.is_none() => {
                frame = Some(read_frame(segment)?);
            }
            // Some cameras write a second one, which editors ignore.
            0xe1 if exif.is_none() => {
                exif = segment
                    .content
                    .strip_prefix(b"Exif\0")
                    .and_then(|content| content.get(1..))
                    .map(<[u8]>::to_vec);
            }
            0xe2 => icc.add(segment.content),
            0xee => {
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
    let (width, height, mut frame) =
        frame.ok_or_else(|| Error::broken(Format::Jpeg, "it has no frame"))?;
    frame.adobe_transform = adobe_transform;
    frame.jfif = jfif;
    frame.first_scan = first_scan;
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
        layout: Layout::Jpeg(frame),
    })
}

/// A marker segment (T.81, B.1.1.4).
#[derive(Clone, Copy)]
pub(crate) struct Segment<'f> {
    pub(crate) marker: u8,
    pub(crate) content: &'f [u8],
}

/// The segments of a file. What is between two of them is passed over: decoders forgive it, and so many
/// files have something there.
pub(crate) struct Segments<'f> {
    file: &'f [u8],
    at: usize,
}

impl<'f> Segments<'f> {
    pub(crate) fn of(file: &'f [u8]) -> Self {
        Self { file, at: 2 }
    }

    /// The next one; none if the file ends before its end.
    pub(crate) fn next_segment(&mut self) -> Option<Segment<'f>> {
        let rest = self.file.get(self.at..)?;
        let start = rest.windows(2).position(|pair| {
            pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff | 0x01 | 0xd0..=0xd8)
        })?;
        let marker = *rest.get(start + 1)?;
        let rest = rest.get(start + 2..)?;
        self.at += start + 2;
        // The end has no content.
        if marker == 0xd9 {
            return Some(Segment {
                marker,
                content: &[],
            });
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let content = rest.get(2..length)?;
        self.at += length;
        Some(Segment { marker, content })
    }

    /// Where the next one is looked for.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Looks for the next one from here on.
    pub(crate) fn go_to(&mut self, position: usize) {
        self.at = position;
    }
}

fn read_frame(segment: Segment<'_>) -> Result<(u32, u32, Frame), Error> {
    let unsupported = |feature| Error::UnsupportedFeature {
        format: Format::Jpeg,
        feature,
    };
    match segment.marker {
        0xc0..=0xc2 => {}
        0xc3 => return Err(unsupported("lossless coding")),
        0xc9..=0xcb | 0xcd..=0xcf => return Err(unsupported("arithmetic coding")),
        _ => return Err(unsupported("hierarchical coding")),
    }
    let [precision, h1, h0, w1, w0, count, components @ ..] = segment.content else {
        return Err(Error::broken(Format::Jpeg, "its frame header is too short"));
    };
    if *precision != 8 {
        return Err(unsupported("more than 8 bits a channel"));
    }
    if !matches!(count, 1 | 3 | 4) {
        return Err(unsupported("this number of channels"));
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
        return Err(Error::broken(
            Format::Jpeg,
            "its frame header contradicts itself",
        ));
    }
    if let [only] = components.as_mut_slice() {
        // There is nothing to be denser than (T.81, A.2.2).
        (only.horizontal, only.vertical) = (1, 1);
    }
    let frame = Frame {
        progressive: segment.marker == 0xc2,
        components,
        jfif: false,
        first_scan: 0,
        adobe_transform: None,
    };
    let width = u16::from_be_bytes([*w1, *w0]).into();
    let height = u16::from_be_bytes([*h1, *h0]).into();
    Ok((width, height, frame))
}

/// A profile, cut into segments (ICC.1:2022, B.4).
#[derive(Default)]
struct IccParts<'f> {
    parts: Vec<(u8, &'f [u8])>,
}

impl<'f> IccParts<'f> {
    fn add(&mut self, content: &'f [u8]) {
        // Their number is a byte.
        if self.parts.len() < 255
            && let Some([number, _, part @ ..]) = content.strip_prefix(b"ICC_PROFILE\0")
        {
            self.parts.push((*number, part));
        }
    }

    fn join(mut self) -> Option<Vec<u8>> {
        self.parts.sort_by_key(|(number, _)| *number);
        let length: usize = self.parts.iter().map(|(_, part)| part.len()).sum();
        (1..=METADATA_MAX).contains(&length).then(|| {
            self.parts
                .iter()
                .flat_map(|(_, part)| *part)
                .copied()
                .collect()
        })
    }
}

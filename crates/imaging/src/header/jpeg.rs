//! JPEG's segments up to the first scan (ITU-T T.81, annex B).

use crate::error::Error;
use crate::format::Format;
use crate::header::{Header, Layout, METADATA_MAX, pixels};

/// What the frame header says (T.81, B.2.2).
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) progressive: bool,
    pub(crate) components: Vec<Component>,
    /// What the Adobe segment says about the colours, if there is one (T.872, 6.5.3).
    pub(crate) adobe_transform: Option<u8>,
}

/// A component, and how many samples of it there are beside those of others, across and down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Component {
    pub(crate) horizontal: u8,
    pub(crate) vertical: u8,
}

impl Frame {
    /// How many samples all components have of so many pixels.
    pub(crate) fn samples(&self, pixels: u64) -> u64 {
        let density = |c: &Component| u64::from(c.horizontal) * u64::from(c.vertical);
        let across = self.components.iter().map(|c| c.horizontal).max();
        let down = self.components.iter().map(|c| c.vertical).max();
        let densest = u64::from(across.unwrap_or(1)) * u64::from(down.unwrap_or(1));
        let sum: u64 = self.components.iter().map(density).sum();
        // Incomplete blocks at the edges are small beside what is added for everything else.
        (pixels * sum).div_ceil(densest)
    }
}

pub(super) fn read(file: &[u8]) -> Result<Header, Error> {
    let mut frame = None;
    let mut adobe_transform = None;
    let mut exif = None;
    let mut icc = IccParts::default();
    for segment in Segments::of(file) {
        let segment = segment?;
        match segment.marker {
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
    }
    let (width, height, mut frame) =
        frame.ok_or_else(|| Error::broken(Format::Jpeg, "it has no frame"))?;
    frame.adobe_transform = adobe_transform;
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
struct Segment<'f> {
    marker: u8,
    content: &'f [u8],
}

/// The segments before the first scan. A file that ends before it is an error.
struct Segments<'f> {
    rest: Option<&'f [u8]>,
}

impl<'f> Segments<'f> {
    fn of(file: &'f [u8]) -> Self {
        Self {
            rest: file.get(2..),
        }
    }

    fn next_segment(&mut self, rest: &'f [u8]) -> Option<Segment<'f>> {
        // Decoders forgive what stands between segments, and so many files have something there.
        let start = rest.windows(2).position(|pair| {
            pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff | 0x01 | 0xd0..=0xd8)
        })?;
        let marker = *rest.get(start + 1)?;
        let rest = rest.get(start + 2..)?;
        if matches!(marker, 0xda | 0xd9) {
            return Some(Segment {
                marker,
                content: &[],
            });
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
        let content = rest.get(2..length)?;
        self.rest = rest.get(length..);
        Some(Segment { marker, content })
    }
}

impl<'f> Iterator for Segments<'f> {
    type Item = Result<Segment<'f>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        match self.next_segment(rest) {
            Some(Segment { marker: 0xda, .. }) => None,
            Some(Segment { marker: 0xd9, .. }) | None => Some(Err(Error::broken(
                Format::Jpeg,
                "it ends before its pixels",
            ))),
            Some(segment) => Some(Ok(segment)),
        }
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
    let components: Vec<Component> = components
        .iter()
        .take(usize::from(*count))
        .map(|[_, sampling, _]| Component {
            horizontal: sampling >> 4,
            vertical: sampling & 15,
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
    let frame = Frame {
        progressive: segment.marker == 0xc2,
        components,
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
        if let Some([number, _, part @ ..]) = content.strip_prefix(b"ICC_PROFILE\0") {
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

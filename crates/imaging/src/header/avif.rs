//! AVIF's boxes: which bytes are the picture, and what is said about it (ISO/IEC 14496-12 and 23008-12;
//! <https://aomediacodec.github.io/av1-avif/>).
//!
//! Of a file that holds several pictures, or a film, the primary picture counts. One that is put
//! together from tiles is refused.

use std::ops::Range;

use crate::error::Error;
use crate::format::Format;
use crate::header::{Header, Layout, METADATA_MAX, pixels};
use crate::orientation::Orientation;

/// Where the picture is, and what its decoder has to know.
#[derive(Debug)]
pub(crate) struct Item {
    /// AV1 of the colours.
    pub(crate) colour: Vec<u8>,
    /// AV1 of the opacity, as its luma.
    pub(crate) alpha: Option<Vec<u8>>,
    /// How the colours are coded, where the container says it (ITU-T H.273).
    pub(crate) coding: Option<ColourCoding>,
}

/// Code points of ITU-T H.273.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColourCoding {
    pub(crate) primaries: u8,
    pub(crate) transfer: u8,
    pub(crate) matrix: u8,
    pub(crate) full_range: bool,
}

pub(super) fn read(file: &[u8]) -> Result<Header, Error> {
    let broken = || Error::broken(Format::Avif, "its boxes don't describe a picture");
    let meta = Boxes(file)
        .find(|part| part.kind == *b"meta")
        .and_then(|meta| Meta::read(meta.content))
        .ok_or_else(broken)?;
    let primary = meta.primary;
    match meta.kind(primary) {
        Some(b"av01") => {}
        Some(b"grid") => {
            return Err(Error::UnsupportedFeature {
                format: Format::Avif,
                feature: "tiles",
            });
        }
        _ => return Err(broken()),
    }
    let mut header = Header {
        format: Format::Avif,
        width: 0,
        height: 0,
        frames: 1,
        pixels: 0,
        alpha: false,
        bit_depth: 8,
        orientation: None,
        exif: None,
        icc: None,
        layout: Layout::Gif,
    };
    let mut coding = None;
    let mut quarter_turns = 0;
    let mut mirror = None;
    for property in meta.properties(primary) {
        let content = property.content;
        match &property.kind {
            b"ispe" => {
                let mut bytes = Bytes(content.get(4..).unwrap_or_default());
                header.width = bytes.u32().ok_or_else(broken)?;
                header.height = bytes.u32().ok_or_else(broken)?;
            }
            b"av1C" => {
                let flags = content.get(2).copied().unwrap_or_default();
                header.bit_depth = match (flags & 0x40 != 0, flags & 0x20 != 0) {
                    (false, _) => 8,
                    (true, false) => 10,
                    (true, true) => 12,
                };
            }
            b"colr" => match content {
                [
                    b'n',
                    b'c',
                    b'l',
                    b'x',
                    _,
                    primaries,
                    _,
                    transfer,
                    _,
                    matrix,
                    range,
                    ..,
                ] => {
                    coding = Some(ColourCoding {
                        primaries: *primaries,
                        transfer: *transfer,
                        matrix: *matrix,
                        full_range: range & 0x80 != 0,
                    });
                }
                [
                    b'p' | b'r',
                    b'r' | b'I',
                    b'o' | b'C',
                    b'f' | b'C',
                    profile @ ..,
                ] if profile.len() <= METADATA_MAX => {
                    header.icc = Some(profile.to_vec());
                }
                _ => {}
            },
            b"irot" => quarter_turns = content.first().map_or(0, |turns| turns & 3),
            b"imir" => mirror = content.first().map(|axis| axis & 1),
            _ => {}
        }
    }
    // Turned first, then mirrored (ISO/IEC 23000-22, 7.3.6.7). Mirroring top to bottom is mirroring
    // sideways and half a turn.
    header.orientation = Some(match mirror {
        None => Orientation::from_turns(quarter_turns, false),
        Some(1) => Orientation::from_turns(quarter_turns, true),
        Some(_) => Orientation::from_turns(quarter_turns + 2, true),
    });
    header.pixels = pixels(header.width, header.height, 1);
    header.exif = meta
        .described_by(primary)
        .filter(|item| meta.kind(*item) == Some(b"Exif"))
        .find_map(|item| exif(&meta.data(file, item)?));
    let alpha = meta.alpha_of(primary);
    header.alpha = alpha.is_some();
    header.layout = Layout::Avif(Item {
        colour: meta.data(file, primary).ok_or_else(broken)?,
        alpha: match alpha {
            Some(item) => Some(meta.data(file, item).ok_or_else(broken)?),
            None => None,
        },
        coding,
    });
    Ok(header)
}

/// What follows the offset of the TIFF header (ISO/IEC 23008-12, annex A.2.1).
fn exif(data: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Bytes(data);
    let offset = usize::try_from(bytes.u32()?).ok()?;
    bytes.0.get(offset..).map(<[u8]>::to_vec)
}

/// A box (ISO/IEC 14496-12, 4.2).
#[derive(Clone, Copy, Debug)]
struct Part<'f> {
    kind: [u8; 4],
    content: &'f [u8],
}

/// Boxes, one after the other. They end where one doesn't fit.
struct Boxes<'f>(&'f [u8]);

impl<'f> Iterator for Boxes<'f> {
    type Item = Part<'f>;

    fn next(&mut self) -> Option<Part<'f>> {
        let mut bytes = Bytes(self.0);
        let size = bytes.u32()?;
        let kind = *bytes.take(4)?.first_chunk()?;
        let size = match size {
            0 => self.0.len(),
            1 => usize::try_from(bytes.uint(8)?).ok()?,
            size => usize::try_from(size).ok()?,
        };
        let start = self.0.len() - bytes.0.len();
        let content = self.0.get(start..size)?;
        self.0 = self.0.get(size..)?;
        Some(Part { kind, content })
    }
}

/// What the box `meta` holds (ISO/IEC 14496-12, 8.11).
struct Meta<'f> {
    primary: u32,
    kinds: Vec<(u32, [u8; 4])>,
    locations: Vec<(u32, Location)>,
    properties: Vec<Part<'f>>,
    /// Items, and which properties they have, counted from 1.
    associations: Vec<(u32, Vec<usize>)>,
    /// Kind, from, to.
    references: Vec<([u8; 4], u32, Vec<u32>)>,
    inner_data: &'f [u8],
}

struct Location {
    in_meta: bool,
    extents: Vec<Range<usize>>,
}

impl<'f> Meta<'f> {
    fn read(content: &'f [u8]) -> Option<Self> {
        let mut meta = Self {
            primary: 0,
            kinds: Vec::new(),
            locations: Vec::new(),
            properties: Vec::new(),
            associations: Vec::new(),
            references: Vec::new(),
            inner_data: &[],
        };
        for part in Boxes(content.get(4..)?) {
            match &part.kind {
                b"pitm" => {
                    let (version, mut bytes) = full_box(part.content)?;
                    meta.primary = bytes.item(version > 0)?;
                }
                b"iinf" => meta.read_kinds(part.content)?,
                b"iloc" => meta.read_locations(part.content)?,
                b"iprp" => meta.read_properties(part.content)?,
                b"iref" => meta.read_references(part.content)?,
                b"idat" => meta.inner_data = part.content,
                _ => {}
            }
        }
        Some(meta)
    }

    fn kind(&self, item: u32) -> Option<&[u8; 4]> {
        self.kinds
            .iter()
            .find(|(id, _)| *id == item)
            .map(|(_, kind)| kind)
    }

    fn properties(&self, item: u32) -> impl Iterator<Item = &Part<'f>> {
        self.associations
            .iter()
            .filter(move |(id, _)| *id == item)
            .flat_map(|(_, numbers)| numbers)
            .filter_map(|number| self.properties.get(number.checked_sub(1)?))
    }

    /// Items that describe this one.
    fn described_by(&self, item: u32) -> impl Iterator<Item = u32> {
        self.references
            .iter()
            .filter(move |(kind, _, to)| kind == b"cdsc" && to.contains(&item))
            .map(|(_, from, _)| *from)
    }

    fn alpha_of(&self, item: u32) -> Option<u32> {
        self.references
            .iter()
            .filter(|(kind, _, to)| kind == b"auxl" && to.contains(&item))
            .map(|(_, from, _)| *from)
            .find(|from| {
                self.kind(*from) == Some(b"av01")
                    && self.properties(*from).any(|property| {
                        property.kind == *b"auxC"
                            && property.content.get(4..).is_some_and(|urn| {
                                urn.starts_with(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
                                    || urn.starts_with(b"urn:mpeg:hevc:2015:auxid:1")
                            })
                    })
            })
    }

    fn data(&self, file: &[u8], item: u32) -> Option<Vec<u8>> {
        let (_, location) = self.locations.iter().find(|(id, _)| *id == item)?;
        let source = if location.in_meta {
            self.inner_data
        } else {
            file
        };
        let mut data = Vec::new();
        for extent in &location.extents {
            let part = source.get(extent.clone())?;
            // An item that names the same bytes again and again would be longer than its file.
            if data.len() + part.len() > source.len() {
                return None;
            }
            data.extend_from_slice(part);
        }
        (!data.is_empty()).then_some(data)
    }

    fn read_kinds(&mut self, content: &[u8]) -> Option<()> {
        let (version, mut bytes) = full_box(content)?;
        bytes.take(if version == 0 { 2 } else { 4 })?;
        for part in Boxes(bytes.0).filter(|part| part.kind == *b"infe") {
            let (version, mut bytes) = full_box(part.content)?;
            if version < 2 {
                continue;
            }
            let item = bytes.item(version > 2)?;
            bytes.take(2)?;
            self.kinds.push((item, *bytes.take(4)?.first_chunk()?));
        }
        Some(())
    }

    fn read_locations(&mut self, content: &[u8]) -> Option<()> {
        let (version, mut bytes) = full_box(content)?;
        let [sizes, more_sizes] = *bytes.take(2)?.first_chunk()?;
        let (offset_size, length_size) = (sizes >> 4, sizes & 15);
        let base_size = more_sizes >> 4;
        let index_size = if version == 0 { 0 } else { more_sizes & 15 };
        let count = bytes.item(version > 1)?;
        for _ in 0..count {
            let item = bytes.item(version > 1)?;
            let method = if version == 0 { 0 } else { bytes.uint(2)? & 15 };
            bytes.take(2)?;
            let base = bytes.uint(base_size)?;
            let extents = bytes.uint(2)?;
            let mut location = Location {
                in_meta: method == 1,
                extents: Vec::new(),
            };
            for _ in 0..extents {
                bytes.uint(index_size)?;
                let start = usize::try_from(base.checked_add(bytes.uint(offset_size)?)?).ok()?;
                let length = usize::try_from(bytes.uint(length_size)?).ok()?;
                location.extents.push(start..start.checked_add(length)?);
            }
            self.locations.push((item, location));
        }
        Some(())
    }

    fn read_properties(&mut self, content: &'f [u8]) -> Option<()> {
        for part in Boxes(content) {
            match &part.kind {
                b"ipco" => self.properties = Boxes(part.content).collect(),
                b"ipma" => {
                    let flags = *part.content.get(3)?;
                    let (version, mut bytes) = full_box(part.content)?;
                    for _ in 0..bytes.u32()? {
                        let item = bytes.item(version > 0)?;
                        let count = bytes.uint(1)?;
                        let numbers = (0..count)
                            .map(|_| {
                                let number = if flags & 1 == 1 {
                                    bytes.uint(2)? & 0x7fff
                                } else {
                                    bytes.uint(1)? & 0x7f
                                };
                                usize::try_from(number).ok()
                            })
                            .collect::<Option<_>>()?;
                        self.associations.push((item, numbers));
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    fn read_references(&mut self, content: &[u8]) -> Option<()> {
        let (version, bytes) = full_box(content)?;
        for part in Boxes(bytes.0) {
            let mut bytes = Bytes(part.content);
            let from = bytes.item(version > 0)?;
            let count = bytes.uint(2)?;
            let to = (0..count)
                .map(|_| bytes.item(version > 0))
                .collect::<Option<_>>()?;
            self.references.push((part.kind, from, to));
        }
        Some(())
    }
}

/// The version of a box that has one, and what follows its flags.
fn full_box(content: &[u8]) -> Option<(u8, Bytes<'_>)> {
    Some((*content.first()?, Bytes(content.get(4..)?)))
}

/// Numbers, most significant byte first.
struct Bytes<'f>(&'f [u8]);

impl<'f> Bytes<'f> {
    fn take(&mut self, count: usize) -> Option<&'f [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes, up to eight; zero of none.
    fn uint(&mut self, bytes: u8) -> Option<u64> {
        if bytes > 8 {
            return None;
        }
        let taken = self.take(usize::from(bytes))?;
        Some(
            taken
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    fn u32(&mut self) -> Option<u32> {
        u32::try_from(self.uint(4)?).ok()
    }

    /// The id of an item.
    fn item(&mut self, long: bool) -> Option<u32> {
        u32::try_from(self.uint(if long { 4 } else { 2 })?).ok()
    }
}

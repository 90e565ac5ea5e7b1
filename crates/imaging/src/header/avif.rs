//! AVIF headers: boxes of the ISO base media file format (ISO/IEC 14496-12 and 23008-12;
//! <https://aomediacodec.github.io/av1-avif/>).
//!
//! Reads the primary item only. Image grids (`grid`) are refused.

use std::ops::Range;

use crate::error::Error;
use crate::format::Format;
use crate::header::isobmff::{Boxes, ByteReader, IsoBox, full_box};
use crate::header::{FormatInfo, Header, METADATA_MAX, pixels};
use crate::orientation::Orientation;

/// Coded data of the image, and the properties that its decoder needs.
#[derive(Debug)]
pub(crate) struct AvifImage {
    /// AV1 data of the colour image.
    pub(crate) colour: Vec<u8>,
    /// AV1 data of the alpha image, whose luma is alpha.
    pub(crate) alpha: Option<Vec<u8>>,
    /// Colour information of the container (`colr` of type `nclx`), if there is any.
    pub(crate) nclx: Option<NclxColour>,
}

/// Code points of ITU-T H.273.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NclxColour {
    pub(crate) primaries: u8,
    pub(crate) transfer: u8,
    pub(crate) matrix: u8,
    pub(crate) full_range: bool,
}

pub(super) fn read(file: &[u8]) -> Result<Header, Error> {
    let broken = || Error::broken(Format::Avif, "its boxes describe no AV1 image");
    let meta = Boxes(file)
        .find(|child| child.box_type == *b"meta")
        .and_then(|meta| MetaBox::read(meta.content))
        .ok_or_else(broken)?;
    let primary = meta.primary;
    match meta.item_type(primary) {
        Some(b"av01") => {}
        Some(b"grid") => {
            return Err(Error::UnsupportedFeature {
                format: Format::Avif,
                feature: "an image grid",
            });
        }
        _ => return Err(broken()),
    }
    let (mut width, mut height, mut bit_depth, mut icc) = (0, 0, 8, None);
    let mut nclx = None;
    let mut quarter_turns = 0;
    let mut mirror = None;
    for property in meta.properties(primary) {
        let content = property.content;
        match &property.box_type {
            b"ispe" => {
                let mut bytes = ByteReader(content.get(4..).unwrap_or_default());
                width = bytes.u32().ok_or_else(broken)?;
                height = bytes.u32().ok_or_else(broken)?;
            }
            b"av1C" => {
                let flags = content.get(2).copied().unwrap_or_default();
                bit_depth = match (flags & 0x40 != 0, flags & 0x20 != 0) {
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
                    nclx = Some(NclxColour {
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
                    icc = Some(profile.to_vec());
                }
                _ => {}
            },
            b"irot" => quarter_turns = content.first().map_or(0, |turns| turns & 3),
            b"imir" => mirror = content.first().map(|axis| axis & 1),
            _ => {}
        }
    }
    // The rotation (`irot`) comes first, then the reflection (`imir`; ISO/IEC 23000-22, 7.3.6.7). A
    // vertical reflection equals a horizontal one and half a turn.
    let orientation = match mirror {
        None => Orientation::from_rotation(quarter_turns, false),
        Some(1) => Orientation::from_rotation(quarter_turns, true),
        Some(_) => Orientation::from_rotation(quarter_turns + 2, true),
    };
    let exif = meta
        .descriptions_of(primary)
        .filter(|item| meta.item_type(*item) == Some(b"Exif"))
        .find_map(|item| tiff(&meta.data(file, item)?));
    let alpha = meta.alpha_of(primary);
    let image = AvifImage {
        colour: meta.data(file, primary).ok_or_else(broken)?,
        alpha: match alpha {
            Some(item) => Some(meta.data(file, item).ok_or_else(broken)?),
            None => None,
        },
        nclx,
    };
    Ok(Header {
        format: Format::Avif,
        width,
        height,
        frames: 1,
        pixels: pixels(width, height, 1),
        alpha: alpha.is_some(),
        bit_depth,
        orientation: Some(orientation),
        exif,
        icc,
        info: FormatInfo::Avif(image),
    })
}

/// Strips the offset of the TIFF header from an Exif item (ISO/IEC 23008-12, annex A.2.1).
fn tiff(data: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = ByteReader(data);
    let offset = usize::try_from(bytes.u32()?).ok()?;
    bytes.0.get(offset..).map(<[u8]>::to_vec)
}

/// Content of the `meta` box (ISO/IEC 14496-12, 8.11).
struct MetaBox<'f> {
    primary: u32,
    item_types: Vec<(u32, [u8; 4])>,
    locations: Vec<(u32, Location)>,
    properties: Vec<IsoBox<'f>>,
    /// Item and its properties, as indices from 1 (`ipma`).
    associations: Vec<(u32, Vec<usize>)>,
    /// Reference type, from item, to items (`iref`).
    references: Vec<([u8; 4], u32, Vec<u32>)>,
    item_data: &'f [u8],
}

struct Location {
    in_item_data: bool,
    extents: Vec<Range<usize>>,
}

impl<'f> MetaBox<'f> {
    fn read(content: &'f [u8]) -> Option<Self> {
        let mut meta = Self {
            primary: 0,
            item_types: Vec::new(),
            locations: Vec::new(),
            properties: Vec::new(),
            associations: Vec::new(),
            references: Vec::new(),
            item_data: &[],
        };
        for child in Boxes(content.get(4..)?) {
            match &child.box_type {
                b"pitm" => {
                    let (version, mut bytes) = full_box(child.content)?;
                    meta.primary = bytes.item_id(version > 0)?;
                }
                b"iinf" => meta.read_item_infos(child.content)?,
                b"iloc" => meta.read_item_locations(child.content)?,
                b"iprp" => meta.read_properties(child.content)?,
                b"iref" => meta.read_references(child.content)?,
                b"idat" => meta.item_data = child.content,
                _ => {}
            }
        }
        Some(meta)
    }

    fn item_type(&self, item: u32) -> Option<&[u8; 4]> {
        self.item_types
            .iter()
            .find(|(id, _)| *id == item)
            .map(|(_, kind)| kind)
    }

    fn properties(&self, item: u32) -> impl Iterator<Item = &IsoBox<'f>> {
        self.associations
            .iter()
            .filter(move |(id, _)| *id == item)
            .flat_map(|(_, numbers)| numbers)
            .filter_map(|number| self.properties.get(number.checked_sub(1)?))
    }

    /// Items that describe this one (reference type `cdsc`).
    fn descriptions_of(&self, item: u32) -> impl Iterator<Item = u32> {
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
                self.item_type(*from) == Some(b"av01")
                    && self.properties(*from).any(|property| {
                        property.box_type == *b"auxC"
                            && property.content.get(4..).is_some_and(|urn| {
                                urn.starts_with(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")
                                    || urn.starts_with(b"urn:mpeg:hevc:2015:auxid:1")
                            })
                    })
            })
    }

    fn data(&self, file: &[u8], item: u32) -> Option<Vec<u8>> {
        let (_, location) = self.locations.iter().find(|(id, _)| *id == item)?;
        let source = if location.in_item_data {
            self.item_data
        } else {
            file
        };
        let mut data = Vec::new();
        for extent in &location.extents {
            let part = source.get(extent.clone())?;
            // An item whose extents overlap could be longer than the file.
            if data.len() + part.len() > source.len() {
                return None;
            }
            data.extend_from_slice(part);
        }
        (!data.is_empty()).then_some(data)
    }

    fn read_item_infos(&mut self, content: &[u8]) -> Option<()> {
        let (version, mut bytes) = full_box(content)?;
        bytes.take(if version == 0 { 2 } else { 4 })?;
        for child in Boxes(bytes.0).filter(|child| child.box_type == *b"infe") {
            let (version, mut bytes) = full_box(child.content)?;
            if version < 2 {
                continue;
            }
            let item = bytes.item_id(version > 2)?;
            bytes.take(2)?;
            self.item_types.push((item, *bytes.take(4)?.first_chunk()?));
        }
        Some(())
    }

    fn read_item_locations(&mut self, content: &[u8]) -> Option<()> {
        let (version, mut bytes) = full_box(content)?;
        let [sizes, more_sizes] = *bytes.take(2)?.first_chunk()?;
        let (offset_size, length_size) = (sizes >> 4, sizes & 15);
        let base_size = more_sizes >> 4;
        let index_size = if version == 0 { 0 } else { more_sizes & 15 };
        let count = bytes.item_id(version > 1)?;
        for _ in 0..count {
            let item = bytes.item_id(version > 1)?;
            let method = if version == 0 { 0 } else { bytes.uint(2)? & 15 };
            bytes.take(2)?;
            let base = bytes.uint(base_size)?;
            let extents = bytes.uint(2)?;
            let mut location = Location {
                in_item_data: method == 1,
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
        for child in Boxes(content) {
            match &child.box_type {
                b"ipco" => self.properties = Boxes(child.content).collect(),
                b"ipma" => {
                    let flags = *child.content.get(3)?;
                    let (version, mut bytes) = full_box(child.content)?;
                    for _ in 0..bytes.u32()? {
                        let item = bytes.item_id(version > 0)?;
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
        for child in Boxes(bytes.0) {
            let mut bytes = ByteReader(child.content);
            let from = bytes.item_id(version > 0)?;
            let count = bytes.uint(2)?;
            let to = (0..count)
                .map(|_| bytes.item_id(version > 0))
                .collect::<Option<_>>()?;
            self.references.push((child.box_type, from, to));
        }
        Some(())
    }
}

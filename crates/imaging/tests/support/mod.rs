//! Test images and files, made and read back with other codecs than ours.

#![allow(dead_code, reason = "each test program uses only some helpers")]
#![expect(
    clippy::unwrap_used,
    reason = "a test whose file can't be created has failed"
)]

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Field, In, Rational, Tag, Value};
use jpeg_encoder::{ColorType, Encoder};

/// Pixels, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestImage {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<u8>,
}

impl TestImage {
    pub(crate) fn paint_with<const CHANNELS: usize>(
        width: u32,
        height: u32,
        pixel: impl Fn(u32, u32) -> [u8; CHANNELS],
    ) -> Self {
        let pixels = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| pixel(x, y))
            .collect();
        Self {
            width,
            height,
            channels: CHANNELS,
            pixels,
        }
    }

    /// Red increases to the right and green downwards, alike at every size.
    pub(crate) fn gradient(width: u32, height: u32) -> Self {
        let part = |at: u32, of: u32| ((at * 2 + 1) * 255 / (of * 2)) as u8;
        Self::paint_with(width, height, |x, y| [part(x, width), part(y, height), 96])
    }

    /// A different colour in each quarter.
    pub(crate) fn quarters(width: u32, height: u32) -> Self {
        Self::paint_with(width, height, |x, y| {
            match (x < width / 2, y < height / 2) {
                (true, true) => [220, 30, 30],
                (false, true) => [30, 220, 30],
                (true, false) => [30, 30, 220],
                (false, false) => [220, 220, 220],
            }
        })
    }

    pub(crate) fn of_colour(width: u32, height: u32, colour: [u8; 3]) -> Self {
        Self::paint_with(width, height, |_, _| colour)
    }

    /// Deterministic noise.
    pub(crate) fn noise(width: u32, height: u32) -> Self {
        Self::paint_with(width, height, |x, y| {
            let mixed = ((x * 0x9e37) ^ (y * 0x79b9)).wrapping_mul(0x85eb_ca6b);
            [(mixed >> 8) as u8, (mixed >> 16) as u8, (mixed >> 24) as u8]
        })
    }

    fn pixel(&self, x: u32, y: u32) -> &[u8] {
        let start = (y * self.width + x) as usize * self.channels;
        &self.pixels[start..start + self.channels]
    }

    pub(crate) fn grey(&self) -> Self {
        Self::paint_with(self.width, self.height, |x, y| {
            let sum: u32 = self.pixel(x, y).iter().map(|c| u32::from(*c)).sum();
            [(sum / 3) as u8]
        })
    }

    pub(crate) fn rgb(&self) -> Self {
        Self::paint_with(self.width, self.height, |x, y| {
            let pixel = self.pixel(x, y);
            if self.channels == 1 {
                [pixel[0]; 3]
            } else {
                [pixel[0], pixel[1], pixel[2]]
            }
        })
    }

    pub(crate) fn with_alpha(&self, alpha: impl Fn(u32, u32) -> u8) -> Self {
        Self::paint_with(self.width, self.height, |x, y| {
            let pixel = self.pixel(x, y);
            [pixel[0], pixel[1], pixel[2], alpha(x, y)]
        })
    }

    pub(crate) fn paint(&self, colour: impl Fn(u32, u32) -> Option<[u8; 4]>) -> Self {
        Self::paint_with(self.width, self.height, |x, y| {
            let pixel = self.pixel(x, y);
            colour(x, y).unwrap_or([pixel[0], pixel[1], pixel[2], pixel[3]])
        })
    }

    /// The image as stored by a camera with this orientation: the inverse of the tag's transformation.
    pub(crate) fn stored_as(&self, orientation: u16) -> Self {
        let (w, h) = (self.width, self.height);
        let (width, height) = if orientation > 4 { (h, w) } else { (w, h) };
        Self::paint_with(width, height, |x, y| {
            let (x, y) = match orientation {
                1 => (x, y),
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (w - 1 - y, x),
                7 => (w - 1 - y, h - 1 - x),
                8 => (y, h - 1 - x),
                _ => panic!("orientation must be 1 to 8"),
            };
            let pixel = self.pixel(x, y);
            [pixel[0], pixel[1], pixel[2]]
        })
    }

    /// Mean absolute difference of all samples.
    pub(crate) fn mean_difference(&self, other: &Self) -> f64 {
        assert_eq!(
            (self.width, self.height, self.channels),
            (other.width, other.height, other.channels)
        );
        let pairs = self.pixels.iter().zip(&other.pixels);
        let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        sum / self.pixels.len() as f64
    }
}

/// Encodes a JPEG with these `APPn` segments. Number 1 is EXIF, whose prefix is added.
pub(crate) fn jpeg(image: &TestImage, segments: &[(u8, &[u8])]) -> Vec<u8> {
    let colour = if image.channels == 1 {
        ColorType::Luma
    } else {
        ColorType::Rgb
    };
    jpeg_of(&image.pixels, image.width, image.height, colour, segments)
}

/// Encodes a CMYK JPEG as Adobe does, inverted.
pub(crate) fn cmyk_jpeg(width: u32, height: u32, inks: [u8; 4]) -> Vec<u8> {
    let pixels = inks.repeat((width * height) as usize);
    jpeg_of(&pixels, width, height, ColorType::Cmyk, &[])
}

fn jpeg_of(
    pixels: &[u8],
    width: u32,
    height: u32,
    colour: ColorType,
    segments: &[(u8, &[u8])],
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 95);
    for (number, content) in segments {
        let prefix: &[u8] = if *number == 1 { b"Exif\0\0" } else { b"" };
        encoder
            .add_app_segment(*number, [prefix, content].concat())
            .unwrap();
    }
    encoder
        .encode(pixels, width as u16, height as u16, colour)
        .unwrap();
    file
}

pub(crate) fn progressive_jpeg(image: &TestImage) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 95);
    encoder.set_progressive(true);
    encoder
        .encode(
            &image.pixels,
            image.width as u16,
            image.height as u16,
            ColorType::Rgb,
        )
        .unwrap();
    file
}

pub(crate) fn png_of(
    image: &TestImage,
    colour: png::ColorType,
    depth: png::BitDepth,
    profile: Option<&[u8]>,
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut info = png::Info::with_size(image.width, image.height);
    info.color_type = colour;
    info.bit_depth = depth;
    info.icc_profile = profile.map(Into::into);
    let mut writer = png::Encoder::with_info(Cursor::new(&mut file), info)
        .unwrap()
        .write_header()
        .unwrap();
    writer.write_image_data(&image.pixels).unwrap();
    writer.finish().unwrap();
    file
}

/// Encodes a PNG of one row of palette indices; `opacity` has the alpha of the first colours.
pub(crate) fn palette_png(row: &[u8], palette: &[[u8; 3]], opacity: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(Cursor::new(&mut file), row.len() as u32, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_trns(opacity.to_vec());
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(row).unwrap();
    writer.finish().unwrap();
    file
}

/// Recomputes the checksum of the chunk at this offset (PNG, 5.3).
pub(crate) fn fix_png_checksum(file: &mut [u8], chunk: usize) {
    let length = u32::from_be_bytes(*file[chunk..].first_chunk().unwrap()) as usize;
    let (content, checksum) = file[chunk + 4..].split_at_mut(4 + length);
    let mut crc = u32::MAX;
    for byte in content {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    checksum[..4].copy_from_slice(&(!crc).to_be_bytes());
}

/// Encodes a GIF with one frame per colour.
pub(crate) fn animated_gif(width: u16, height: u16, colours: &[[u8; 3]]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = gif::Encoder::new(&mut file, width, height, &colours.concat()).unwrap();
    for index in 0..colours.len() {
        let pixels = vec![index as u8; usize::from(width) * usize::from(height)];
        let frame = gif::Frame::from_indexed_pixels(width, height, pixels, None);
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    file
}

pub(crate) fn jpeg_decoded(file: &[u8]) -> TestImage {
    let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(file));
    let pixels = decoder.decode().unwrap();
    let info = decoder.info().unwrap();
    TestImage {
        width: info.width.into(),
        height: info.height.into(),
        channels: info.pixel_format.pixel_bytes(),
        pixels,
    }
}

pub(crate) fn webp_decoded(file: &[u8]) -> TestImage {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file)).unwrap();
    let (width, height) = decoder.dimensions();
    let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
    decoder.read_image(&mut pixels).unwrap();
    TestImage {
        width,
        height,
        channels: if decoder.has_alpha() { 4 } else { 3 },
        pixels,
    }
}

pub(crate) fn png_decoded(file: &[u8]) -> TestImage {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    TestImage {
        width: info.width,
        height: info.height,
        channels: info.color_type.samples(),
        pixels,
    }
}

/// Builder of EXIF metadata.
#[derive(Default)]
pub(crate) struct Exif {
    fields: Vec<Field>,
}

impl Exif {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn with(mut self, tag: Tag, value: Value) -> Self {
        self.fields.push(Field {
            tag,
            ifd_num: In::PRIMARY,
            value,
        });
        self
    }

    pub(crate) fn orientation(self, value: u16) -> Self {
        self.with(Tag::Orientation, Value::Short(vec![value]))
    }

    pub(crate) fn text(self, tag: u16, text: &str) -> Self {
        let tag = Tag(exif::Context::Tiff, tag);
        self.with(tag, Value::Ascii(vec![text.into()]))
    }

    pub(crate) fn taken(self, time: &str, zone: Option<&str>) -> Self {
        let with_time = self.with(Tag::DateTimeOriginal, Value::Ascii(vec![time.into()]));
        match zone {
            Some(zone) => with_time.with(Tag::OffsetTimeOriginal, Value::Ascii(vec![zone.into()])),
            None => with_time,
        }
    }

    pub(crate) fn position(self, latitude: f64, longitude: f64) -> Self {
        let side =
            |negative, names: [&str; 2]| Value::Ascii(vec![names[usize::from(negative)].into()]);
        let degrees = |degrees: f64| {
            let hundredths = (degrees.abs() * 100.0) as u32;
            Value::Rational(vec![
                Rational {
                    num: hundredths,
                    denom: 100,
                },
                Rational { num: 0, denom: 1 },
                Rational { num: 0, denom: 1 },
            ])
        };
        self.with(Tag::GPSLatitudeRef, side(latitude < 0.0, ["N", "S"]))
            .with(Tag::GPSLatitude, degrees(latitude))
            .with(Tag::GPSLongitudeRef, side(longitude < 0.0, ["E", "W"]))
            .with(Tag::GPSLongitude, degrees(longitude))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        for field in &self.fields {
            writer.push_field(field);
        }
        let mut bytes = Cursor::new(Vec::new());
        writer.write(&mut bytes, true).unwrap();
        bytes.into_inner()
    }
}

/// AVIF of 8 by 4 pixels: red on the left, blue on the right; opaque at the top, transparent at the bottom.
/// Embedded, because AVIF encoders take too long to compile.
#[rustfmt::skip]
pub(crate) const AVIF: &[u8] = &[
    0x00, 0x00, 0x00, 0x1c, 0x66, 0x74, 0x79, 0x70, 0x61, 0x76, 0x69, 0x66, 0x00, 0x00, 0x00, 0x00,
    0x6d, 0x69, 0x66, 0x31, 0x61, 0x76, 0x69, 0x66, 0x6d, 0x69, 0x61, 0x66, 0x00, 0x00, 0x01, 0x70,
    0x6d, 0x65, 0x74, 0x61, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x21, 0x68, 0x64, 0x6c, 0x72,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x70, 0x69, 0x63, 0x74, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x34, 0x69, 0x6c, 0x6f,
    0x63, 0x00, 0x00, 0x00, 0x00, 0x44, 0x40, 0x00, 0x02, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x94, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x33, 0x00, 0x02, 0x00, 0x00, 0x00,
    0x00, 0x01, 0xc7, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1b, 0x00, 0x00, 0x00,
    0x38, 0x69, 0x69, 0x6e, 0x66, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x15, 0x69,
    0x6e, 0x66, 0x65, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x61, 0x76, 0x30, 0x31, 0x00,
    0x00, 0x00, 0x00, 0x15, 0x69, 0x6e, 0x66, 0x65, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00,
    0x61, 0x76, 0x30, 0x31, 0x00, 0x00, 0x00, 0x00, 0x0e, 0x70, 0x69, 0x74, 0x6d, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0xaf, 0x69, 0x70, 0x72, 0x70, 0x00, 0x00, 0x00, 0x8a, 0x69,
    0x70, 0x63, 0x6f, 0x00, 0x00, 0x00, 0x0c, 0x61, 0x76, 0x31, 0x43, 0x81, 0x20, 0x02, 0x00, 0x00,
    0x00, 0x00, 0x14, 0x69, 0x73, 0x70, 0x65, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x00,
    0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x10, 0x70, 0x69, 0x78, 0x69, 0x00, 0x00, 0x00, 0x00, 0x03,
    0x08, 0x08, 0x08, 0x00, 0x00, 0x00, 0x0c, 0x61, 0x76, 0x31, 0x43, 0x81, 0x00, 0x1c, 0x00, 0x00,
    0x00, 0x00, 0x0e, 0x70, 0x69, 0x78, 0x69, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00,
    0x38, 0x61, 0x75, 0x78, 0x43, 0x00, 0x00, 0x00, 0x00, 0x75, 0x72, 0x6e, 0x3a, 0x6d, 0x70, 0x65,
    0x67, 0x3a, 0x6d, 0x70, 0x65, 0x67, 0x42, 0x3a, 0x63, 0x69, 0x63, 0x70, 0x3a, 0x73, 0x79, 0x73,
    0x74, 0x65, 0x6d, 0x73, 0x3a, 0x61, 0x75, 0x78, 0x69, 0x6c, 0x69, 0x61, 0x72, 0x79, 0x3a, 0x61,
    0x6c, 0x70, 0x68, 0x61, 0x00, 0x00, 0x00, 0x00, 0x1d, 0x69, 0x70, 0x6d, 0x61, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x01, 0x03, 0x81, 0x02, 0x03, 0x00, 0x02, 0x04, 0x84, 0x02,
    0x05, 0x86, 0x00, 0x00, 0x00, 0x1a, 0x69, 0x72, 0x65, 0x66, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x0e, 0x61, 0x75, 0x78, 0x6c, 0x00, 0x02, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x56,
    0x6d, 0x64, 0x61, 0x74, 0x12, 0x00, 0x0a, 0x08, 0x38, 0x08, 0x7e, 0xd2, 0x02, 0x1a, 0x0d, 0x20,
    0x32, 0x25, 0x12, 0x02, 0x43, 0x4a, 0x80, 0x00, 0xf2, 0x00, 0x00, 0xff, 0x5c, 0x08, 0x91, 0x2f,
    0x49, 0x64, 0x3e, 0x35, 0x4d, 0x61, 0x17, 0x5b, 0x56, 0xc1, 0xec, 0x6a, 0x6d, 0x5d, 0xda, 0xa6,
    0xbc, 0xc9, 0xe3, 0x8f, 0x8c, 0xbc, 0x80, 0x12, 0x00, 0x0a, 0x05, 0x18, 0x08, 0x7e, 0xc2, 0xa0,
    0x32, 0x10, 0x11, 0x80, 0x00, 0x01, 0x40, 0x95, 0x94, 0xfb, 0xe6, 0x9c, 0x5b, 0x5d, 0x13, 0x09,
    0x46, 0x80,
];

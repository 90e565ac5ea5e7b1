//! AVIF decoding with `re_rav1d`: one AV1 image for colour, and one for alpha if there is any.
//! Single-threaded, because the sandbox has no threads.

use re_rav1d::dav1d::{
    Decoder, Picture, PixelLayout, PlanarImageComponent, Settings, pixel::MatrixCoefficients,
    pixel::YUVRange,
};

use crate::bitmap::{Bitmap, Channels};
use crate::error::Error;
use crate::format::Format;
use crate::header::Header;
use crate::header::avif::AvifImage;

pub(super) fn decode(image: &AvifImage, header: &Header) -> Result<Bitmap, Error> {
    let incomplete = || Error::broken(Format::Avif, "its image data is incomplete");
    let colour = decode_image(image.colour.clone(), header)?;
    let alpha = match &image.alpha {
        Some(data) => Some(decode_image(data.clone(), header)?),
        None => None,
    };
    let planes = Planes::new(&colour).ok_or_else(incomplete)?;
    let opacity = match &alpha {
        Some(picture) => Some(Planes::new(picture).ok_or_else(incomplete)?),
        None => None,
    };
    let (matrix, full_range) = match image.nclx {
        Some(nclx) => (nclx.matrix, nclx.full_range),
        None => (
            match colour.matrix_coefficients() {
                MatrixCoefficients::Identity => 0,
                MatrixCoefficients::BT709 => 1,
                MatrixCoefficients::BT2020NonConstantLuminance
                | MatrixCoefficients::BT2020ConstantLuminance => 9,
                _ => 6,
            },
            colour.color_range() == YUVRange::Full,
        ),
    };
    let convert = Conversion::new(matrix, full_range);
    let alpha_range = alpha
        .as_ref()
        .map(|picture| Conversion::new(6, picture.color_range() == YUVRange::Full));
    let (width, height) = (header.width, header.height);
    let channels = if alpha.is_some() {
        Channels::Rgba
    } else {
        Channels::Rgb
    };
    let mut pixels =
        Vec::with_capacity(Bitmap::byte_count(width, height, channels).ok_or_else(incomplete)?);
    for y in 0..height as usize {
        for x in 0..width as usize {
            pixels.extend(convert.to_rgb(planes.sample(x, y).ok_or_else(incomplete)?));
            if let (Some(opacity), Some(range)) = (&opacity, &alpha_range) {
                let [luma, ..] = opacity.sample(x, y).ok_or_else(incomplete)?;
                pixels.push(range.to_grey(luma));
            }
        }
    }
    Bitmap::new(width, height, channels, pixels).ok_or_else(incomplete)
}

fn decode_image(data: Vec<u8>, header: &Header) -> Result<Picture, Error> {
    let broken = |error: re_rav1d::dav1d::Error| Error::broken(Format::Avif, error);
    let mut settings = Settings::new();
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_all_layers(false);
    // The size from the container, which was checked against the limits. The decoder refuses a larger frame
    // before it allocates memory.
    settings.set_frame_size_limit(header.width.saturating_mul(header.height));
    let mut decoder = Decoder::with_settings(&settings).map_err(broken)?;
    let picture = match decoder.send_data(data, None, None, None) {
        Ok(()) => decoder.get_picture(),
        Err(error) if error.is_again() => decoder.get_picture(),
        Err(error) => Err(error),
    }
    .map_err(broken)?;
    if (picture.width(), picture.height()) != (header.width, header.height) {
        return Err(Error::broken(
            Format::Avif,
            "the sizes of its container and its AV1 data differ",
        ));
    }
    Ok(picture)
}

/// Sample planes of a decoded image.
struct Planes {
    planes: Vec<re_rav1d::dav1d::Plane>,
    strides: [usize; 2],
    /// Chroma subsampling as a right shift of the coordinates, horizontal and vertical.
    subsampling: (u32, u32),
    bits: usize,
}

impl Planes {
    fn new(picture: &Picture) -> Option<Self> {
        let (components, subsampling): (&[_], _) = match picture.pixel_layout() {
            PixelLayout::I400 => (&[PlanarImageComponent::Y], (0, 0)),
            PixelLayout::I420 => (&YUV, (1, 1)),
            PixelLayout::I422 => (&YUV, (1, 0)),
            PixelLayout::I444 => (&YUV, (0, 0)),
        };
        Some(Self {
            planes: components.iter().map(|c| picture.plane(*c)).collect(),
            strides: [PlanarImageComponent::Y, PlanarImageComponent::U]
                .map(|component| picture.stride(component) as usize),
            subsampling,
            bits: picture.bit_depth(),
        })
    }

    /// Luma and both chroma samples of a pixel, from 0 to 1.
    fn sample(&self, x: usize, y: usize) -> Option<[f32; 3]> {
        let one = |plane: usize, x: usize, y: usize| {
            let bytes: &[u8] = self.planes.get(plane)?;
            let stride = *self.strides.get(plane.min(1))?;
            let value = if self.bits > 8 {
                u16::from_ne_bytes(*bytes.get(y * stride + x * 2..)?.first_chunk()?)
            } else {
                u16::from(*bytes.get(y * stride + x)?)
            };
            Some(f32::from(value) / ((1_u32 << self.bits) - 1) as f32)
        };
        let luma = one(0, x, y)?;
        if self.planes.len() == 1 {
            return Some([luma, 0.5, 0.5]);
        }
        let (across, down) = self.subsampling;
        Some([
            luma,
            one(1, x >> across, y >> down)?,
            one(2, x >> across, y >> down)?,
        ])
    }
}

const YUV: [PlanarImageComponent; 3] = [
    PlanarImageComponent::Y,
    PlanarImageComponent::U,
    PlanarImageComponent::V,
];

/// Conversion from YUV to RGB (ITU-T H.273, 8.3).
struct Conversion {
    /// Coefficients KR and KB of luma. `None` if the planes are G, B and R.
    shares: Option<(f32, f32)>,
    full_range: bool,
}

impl Conversion {
    fn new(matrix: u8, full_range: bool) -> Self {
        Self {
            shares: match matrix {
                0 => None,
                1 => Some((0.2126, 0.0722)),
                9 | 10 => Some((0.2627, 0.0593)),
                _ => Some((0.299, 0.114)),
            },
            full_range,
        }
    }

    fn to_rgb(&self, [y, u, v]: [f32; 3]) -> [u8; 3] {
        let y = self.luma(y);
        let Some((red, blue)) = self.shares else {
            return [self.luma(v), y, self.luma(u)].map(to_byte);
        };
        let scale = if self.full_range { 1.0 } else { 255.0 / 224.0 };
        let (u, v) = ((u - 128.0 / 255.0) * scale, (v - 128.0 / 255.0) * scale);
        let r = y + 2.0 * (1.0 - red) * v;
        let b = y + 2.0 * (1.0 - blue) * u;
        let g = (y - red * r - blue * b) / (1.0 - red - blue);
        [r, g, b].map(to_byte)
    }

    fn to_grey(&self, y: f32) -> u8 {
        to_byte(self.luma(y))
    }

    fn luma(&self, y: f32) -> f32 {
        if self.full_range {
            y
        } else {
            (y - 16.0 / 255.0) * (255.0 / 219.0)
        }
    }
}

/// Converts a fraction to a byte. `as` saturates.
fn to_byte(fraction: f32) -> u8 {
    (fraction * 255.0 + 0.5) as u8
}

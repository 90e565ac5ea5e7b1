//! Small pictures, made here.

/// A PNG that no other seed gives: a gradient with the seed in its first pixels.
pub(crate) fn png(width: u32, height: u32, seed: u64) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let ramp = |value: u32, size: u32| u8::try_from(value * 255 / size).unwrap();
            pixels.extend([ramp(x, width), ramp(y, height), 90]);
        }
    }
    pixels[..8].copy_from_slice(&seed.to_le_bytes());
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&pixels)
        .unwrap();
    bytes
}

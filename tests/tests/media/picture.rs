//! Generates small pictures.

/// Returns a PNG that differs for each seed: a gradient with the seed in its first pixels.
pub(crate) fn png(width: u32, height: u32, seed: u64) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let ramp = |value: u32, size: u32| u8::try_from(value * 255 / size).unwrap();
            pixels.extend([ramp(x, width), ramp(y, height), 90]);
        }
    }
    pixels[..8].copy_from_slice(&seed.to_le_bytes());
    encode(width, height, &pixels)
}

/// Returns a PNG of random pixels, which doesn't compress, so that encoding each variant takes time.
pub(crate) fn noise(width: u32, height: u32, seed: u64) -> Vec<u8> {
    // Xorshift (Marsaglia, 2003): random enough, and reproducible.
    let mut state = seed | 1;
    let random = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    let length = 3 * width as usize * height as usize;
    let pixels: Vec<_> = random.flat_map(u64::to_le_bytes).take(length).collect();
    encode(width, height, &pixels)
}

fn encode(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(pixels)
        .unwrap();
    bytes
}

//! What is known about a picture besides its pixels, as it is handed out.

use serde::Serialize;

use crate::format::Format;

/// What is known about a picture. Where it was taken isn't in here, so that it can't be handed out by
/// mistake: that is a [`Position`], kept apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metadata {
    /// What it is.
    pub format: Format,
    /// Its width as shown, in pixels.
    pub width: u32,
    /// Its height as shown, in pixels.
    pub height: u32,
    /// Its width as stored, before it was turned upright.
    pub stored_width: u32,
    /// Its height as stored.
    pub stored_height: u32,
    /// How many pictures follow each other; 1 unless it is an animation.
    pub frames: u32,
    /// Whether any pixel is transparent.
    pub transparency: bool,
    /// Bits of each channel of a pixel.
    pub bit_depth: u8,
    /// What its colour profile calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What the camera wrote.
    pub camera: Camera,
    /// A blurred likeness as text (<https://blurha.sh>), of 4 by 3 components or 3 by 4.
    pub blurhash: String,
    /// A blurred likeness with its shape, in base64 (<https://evanw.github.io/thumbhash/>).
    pub thumbhash: String,
}

/// What the camera wrote (EXIF, CIPA DC-008). What is missing or makes no sense is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(default)]
pub struct Camera {
    /// Who made the camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// What its maker calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The lens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
    /// What wrote the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// How long the shutter was open, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure_seconds: Option<f64>,
    /// The focal length over the aperture's diameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_number: Option<f64>,
    /// The sensitivity (ISO 12232).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso: Option<u32>,
    /// In millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focal_length: Option<f64>,
    /// The focal length that shows as much on 35 mm film, in millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focal_length_35mm: Option<u32>,
    /// Whether the flash fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flash: Option<bool>,
    /// When the picture was taken.
    #[serde(flatten)]
    pub taken: Option<Taken>,
}

/// When a picture was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Taken {
    /// A moment, with the camera's offset from UTC (RFC 3339).
    #[serde(rename = "taken_at")]
    At(String),
    /// What the camera's clock showed, in a zone that it doesn't say: a date and a time of RFC 3339
    /// without offset.
    #[serde(rename = "taken_at_local")]
    AtLocal(String),
}

/// Where a picture was taken (WGS 84): private, unlike what is in [`Metadata`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Position {
    /// Degrees north of the equator, −90 to 90.
    pub latitude: f64,
    /// Degrees east of Greenwich, −180 to 180.
    pub longitude: f64,
    /// Metres above the sea.
    pub altitude: Option<f64>,
}

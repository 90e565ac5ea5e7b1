//! Metadata of an image, in the form in which it is serialised.

use serde::Serialize;

use crate::format::Format;

/// Metadata of an image. The GPS position is deliberately not part of it, so that it can't be published by
/// mistake; see [`Position`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metadata {
    /// Format of the original.
    pub format: Format,
    /// Width in pixels, after the orientation is applied.
    pub width: u32,
    /// Height in pixels, after the orientation is applied.
    pub height: u32,
    /// Width in pixels as stored, before the orientation is applied.
    pub stored_width: u32,
    /// Height in pixels as stored.
    pub stored_height: u32,
    /// Number of frames; 1 unless the image is an animation.
    pub frames: u32,
    /// `true` if any pixel isn't fully opaque.
    pub transparency: bool,
    /// Bits per channel.
    pub bit_depth: u8,
    /// Description of the ICC profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Camera settings from EXIF.
    pub camera: Camera,
    /// Blurhash (<https://blurha.sh>) of 4 by 3 components, or 3 by 4 for a portrait image.
    pub blurhash: String,
    /// Thumbhash (<https://evanw.github.io/thumbhash/>) in base64.
    pub thumbhash: String,
}

/// Camera settings from EXIF (CIPA DC-008). Absent and invalid values are `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(default)]
pub struct Camera {
    /// Manufacturer of the camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// Model of the camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Model of the lens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
    /// Software that wrote the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// Exposure time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure_seconds: Option<f64>,
    /// F-number: focal length divided by the aperture's diameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_number: Option<f64>,
    /// ISO sensitivity (ISO 12232).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso: Option<u32>,
    /// Focal length in millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focal_length: Option<f64>,
    /// Focal length equivalent on 35 mm film, in millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focal_length_35mm: Option<u32>,
    /// `true` if the flash fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flash: Option<bool>,
    /// Capture time.
    #[serde(flatten)]
    pub capture_time: Option<CaptureTime>,
}

/// Time at which a photo was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum CaptureTime {
    /// Date and time with the camera's offset from UTC (RFC 3339).
    #[serde(rename = "taken_at")]
    WithOffset(String),
    /// Local date and time, where the file has no time zone (RFC 3339 without offset).
    #[serde(rename = "taken_at_local")]
    Local(String),
}

/// GPS position of a photo (WGS 84). Private, unlike [`Metadata`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Position {
    /// Latitude in degrees, −90 to 90; north is positive.
    pub latitude: f64,
    /// Longitude in degrees, −180 to 180; east is positive.
    pub longitude: f64,
    /// Altitude in metres above sea level.
    pub altitude: Option<f64>,
}

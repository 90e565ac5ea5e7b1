//! EXIF metadata (CIPA DC-008): orientation, camera, capture time, GPS position.
//!
//! EXIF in real files is often invalid, so parsing never fails: an invalid value is treated as absent.

use exif::{DateTime, Exif, Field, In, Reader, Tag, Value};

use crate::metadata::{Camera, CaptureTime, Position};
use crate::orientation::Orientation;

/// The EXIF tags that could be parsed.
pub(crate) struct Tags {
    exif: Option<Exif>,
}

impl Tags {
    /// Parses a TIFF structure.
    pub(crate) fn parse(bytes: Option<Vec<u8>>) -> Self {
        let read = |bytes| {
            Reader::new()
                .continue_on_error(true)
                .read_raw(bytes)
                .or_else(|error| error.distill_partial_result(|_| {}))
                .ok()
        };
        Self {
            exif: bytes.and_then(read),
        }
    }

    pub(crate) fn orientation(&self) -> Orientation {
        Orientation::from_exif(self.uint(Tag::Orientation).unwrap_or(1))
    }

    pub(crate) fn camera(&self) -> Camera {
        Camera {
            make: self.text(Tag::Make),
            model: self.text(Tag::Model),
            lens: self.text(Tag::LensModel),
            software: self.text(Tag::Software),
            exposure_seconds: self.positive(Tag::ExposureTime),
            f_number: self.positive(Tag::FNumber),
            iso: self
                .uint(Tag::PhotographicSensitivity)
                .filter(|iso| *iso > 0),
            focal_length: self.positive(Tag::FocalLength),
            focal_length_35mm: self
                .uint(Tag::FocalLengthIn35mmFilm)
                .filter(|length| *length > 0),
            flash: self.uint(Tag::Flash).map(|flash| flash & 1 == 1),
            capture_time: self.capture_time(),
        }
    }

    /// GPS position, if the tags are complete and the coordinates within range.
    pub(crate) fn position(&self) -> Option<Position> {
        let latitude = self.degrees(Tag::GPSLatitude, Tag::GPSLatitudeRef, b'S')?;
        let longitude = self.degrees(Tag::GPSLongitude, Tag::GPSLongitudeRef, b'W')?;
        let below_sea = self.uint_or_byte(Tag::GPSAltitudeRef) == Some(1);
        let altitude = self.rational(Tag::GPSAltitude, 0);
        (latitude.abs() <= 90.0 && longitude.abs() <= 180.0).then_some(Position {
            latitude,
            longitude,
            altitude: altitude.map(|metres| if below_sea { -metres } else { metres }),
        })
    }

    fn capture_time(&self) -> Option<CaptureTime> {
        let (time, subsecond, offset) = [
            (
                Tag::DateTimeOriginal,
                Tag::SubSecTimeOriginal,
                Tag::OffsetTimeOriginal,
            ),
            (
                Tag::DateTimeDigitized,
                Tag::SubSecTimeDigitized,
                Tag::OffsetTimeDigitized,
            ),
        ]
        .into_iter()
        .find(|(time, ..)| self.ascii(*time).is_some())?;
        let mut read = DateTime::from_ascii(self.ascii(time)?).ok()?;
        if let Some(subsecond) = self.ascii(subsecond) {
            // An absent or invalid fraction leaves whole seconds.
            let _ = read.parse_subsec(subsecond.trim_ascii());
        }
        let offset = self.ascii(offset).and_then(|offset| {
            read.parse_offset(offset.trim_ascii()).ok()?;
            read.offset
        });
        let local = jiff::civil::DateTime::new(
            read.year.try_into().ok()?,
            read.month.try_into().ok()?,
            read.day.try_into().ok()?,
            read.hour.try_into().ok()?,
            read.minute.try_into().ok()?,
            read.second.try_into().ok()?,
            read.nanosecond.unwrap_or(0).try_into().ok()?,
        )
        .ok()?;
        Some(match offset.filter(|minutes| minutes.abs() < 24 * 60) {
            None => CaptureTime::Local(local.to_string()),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.abs();
                CaptureTime::WithOffset(format!(
                    "{local}{sign}{:02}:{:02}",
                    minutes / 60,
                    minutes % 60
                ))
            }
        })
    }

    fn field(&self, tag: Tag) -> Option<&Field> {
        self.exif.as_ref()?.get_field(tag, In::PRIMARY)
    }

    fn uint(&self, tag: Tag) -> Option<u32> {
        self.field(tag)?.value.get_uint(0)
    }

    fn uint_or_byte(&self, tag: Tag) -> Option<u32> {
        match &self.field(tag)?.value {
            Value::Undefined(bytes, _) => bytes.first().copied().map(u32::from),
            value => value.get_uint(0),
        }
    }

    fn rational(&self, tag: Tag, index: usize) -> Option<f64> {
        let number = match &self.field(tag)?.value {
            Value::Rational(numbers) => numbers.get(index)?.to_f64(),
            Value::SRational(numbers) => numbers.get(index)?.to_f64(),
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    fn positive(&self, tag: Tag) -> Option<f64> {
        self.rational(tag, 0).filter(|number| *number > 0.0)
    }

    fn ascii(&self, tag: Tag) -> Option<&[u8]> {
        match &self.field(tag)?.value {
            Value::Ascii(texts) => texts.first().map(Vec::as_slice),
            _ => None,
        }
    }

    /// Text without padding and control characters. `None` if nothing is left.
    fn text(&self, tag: Tag) -> Option<String> {
        /// Upper bound on the length of a text.
        const CHARACTERS_MAX: usize = 200;
        let text = String::from_utf8_lossy(self.ascii(tag)?);
        let text: String = text
            .chars()
            .filter(|letter| !letter.is_control())
            .take(CHARACTERS_MAX)
            .collect();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Converts degrees, minutes and seconds to degrees, negative for the hemisphere `negative` (`S` or
    /// `W`).
    fn degrees(&self, tag: Tag, side: Tag, negative: u8) -> Option<f64> {
        let degrees = self.rational(tag, 0)?
            + self.rational(tag, 1).unwrap_or(0.0) / 60.0
            + self.rational(tag, 2).unwrap_or(0.0) / 3600.0;
        let side = self.ascii(side)?.first()?.to_ascii_uppercase();
        Some(if side == negative { -degrees } else { degrees })
    }
}

//! The peer: sharp in Node, run by `tests/sharp/measure.js`. Also compares the quality of variants.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

/// Sharp, as installed in a folder.
pub(crate) struct Sharp {
    package: PathBuf,
    outputs: PathBuf,
}

/// The time and memory that sharp used.
#[derive(Deserialize)]
pub(crate) struct Measured {
    pub(crate) milliseconds: Vec<f64>,
    pub(crate) cpu_milliseconds: f64,
    pub(crate) peak_bytes: u64,
}

#[derive(Deserialize)]
struct Size {
    width: usize,
    height: usize,
}

impl Sharp {
    pub(crate) fn new(package: &Path, outputs: &Path) -> Self {
        Self {
            package: package.to_owned(),
            outputs: outputs.to_owned(),
        }
    }

    /// Makes the variants of one photo repeatedly, in its own process.
    pub(crate) fn measure(
        &self,
        variants: &Value,
        input: &Path,
        warm: usize,
        rounds: usize,
    ) -> anyhow::Result<Measured> {
        self.run(json!({
            "measure": variants,
            "input": input,
            "warm": warm,
            "rounds": rounds,
            "output": self.outputs.join("sharp-"),
        }))
    }

    /// Returns a variant of the last measurement.
    pub(crate) fn variant(&self, index: usize) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.variant_path(index))?)
    }

    /// Returns the quality of our variant and of sharp's: SSIMULACRA2, at most 100.
    pub(crate) fn qualities(
        &self,
        input: &Path,
        ours: &[u8],
        index: usize,
    ) -> anyhow::Result<(f64, f64)> {
        let path = self.outputs.join("ours");
        fs::write(&path, ours)?;
        Ok((
            self.quality(input, &path)?,
            self.quality(input, &self.variant_path(index))?,
        ))
    }

    /// Compares a variant with the picture in the variant's own size, since sizes are rounded differently.
    fn quality(&self, input: &Path, variant: &Path) -> anyhow::Result<f64> {
        let (variant, size) = self.pixels(json!({"pixels": variant}))?;
        let (reference, _) = self.pixels(json!({
            "reference": input,
            "width": size.width,
            "height": size.height,
        }))?;
        let [reference, variant] = [reference, variant].map(|pixels| {
            Rgb::new(
                pixels,
                size.width,
                size.height,
                TransferCharacteristic::SRGB,
                ColorPrimaries::BT709,
            )
        });
        Ok(compute_frame_ssimulacra2(reference?, variant?)?)
    }

    fn variant_path(&self, index: usize) -> PathBuf {
        self.outputs.join(format!("sharp-{index}"))
    }

    fn pixels(&self, mut job: Value) -> anyhow::Result<(Vec<[f32; 3]>, Size)> {
        let path = self.outputs.join("pixels");
        job["output"] = json!(path);
        let size = self.run(job)?;
        let bytes = fs::read(&path)?;
        let (pixels, _) = bytes.as_chunks::<3>();
        let fraction = |sample: u8| f32::from(sample) / 255.0;
        Ok((
            pixels.iter().map(|pixel| pixel.map(fraction)).collect(),
            size,
        ))
    }

    fn run<T: for<'de> Deserialize<'de>>(&self, job: Value) -> anyhow::Result<T> {
        let output = Command::new("node")
            .arg("measure.js")
            .arg(job.to_string())
            .current_dir(&self.package)
            .output()
            .context("cannot start node")?;
        if !output.status.success() {
            bail!("sharp failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

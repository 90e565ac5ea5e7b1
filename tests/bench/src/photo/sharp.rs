//! The peer: sharp in Node, by `tests/sharp/measure.js`. And, with its help, what a print is worth.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

/// Sharp, installed in a folder.
pub(crate) struct Sharp {
    package: PathBuf,
    outputs: PathBuf,
}

/// What sharp took for its prints.
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

    /// Makes the prints of one photo again and again, in a process of its own.
    pub(crate) fn measure(
        &self,
        prints: &Value,
        input: &Path,
        warm: usize,
        rounds: usize,
    ) -> anyhow::Result<Measured> {
        self.run(json!({
            "measure": prints,
            "input": input,
            "warm": warm,
            "rounds": rounds,
            "output": self.outputs.join("sharp-"),
        }))
    }

    /// A print of the last measurement.
    pub(crate) fn print(&self, index: usize) -> anyhow::Result<Vec<u8>> {
        Ok(fs::read(self.path_of_print(index))?)
    }

    /// How near our print and sharp's are to the picture: at most 100.
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
            self.quality(input, &self.path_of_print(index))?,
        ))
    }

    /// Beside the picture in the size of the print: where a side is rounded, the two may differ.
    fn quality(&self, input: &Path, print: &Path) -> anyhow::Result<f64> {
        let (print, size) = self.pixels(json!({"pixels": print}))?;
        let (wanted, _) = self.pixels(json!({
            "reference": input,
            "width": size.width,
            "height": size.height,
        }))?;
        let [wanted, print] = [wanted, print].map(|pixels| {
            Rgb::new(
                pixels,
                size.width,
                size.height,
                TransferCharacteristic::SRGB,
                ColorPrimaries::BT709,
            )
        });
        Ok(compute_frame_ssimulacra2(wanted?, print?)?)
    }

    fn path_of_print(&self, index: usize) -> PathBuf {
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

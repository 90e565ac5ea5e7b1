//! Variants of photos, compared with sharp in its own process: both warm, on one thread, from memory to
//! memory. Ours run in the sandbox, one instance per photo, as in the router.
//!
//! Quality is SSIMULACRA2, compared with the picture resized from all of its pixels.

mod sharp;
mod step;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use crate::photo::sharp::Sharp;
use crate::photo::step::Step;
use crate::statistics::{at_least, at_most, median, range};

const ROUNDS: usize = 5;
/// Photos of each round, one after the other.
const PHOTOS: usize = 10;
const WARM: usize = 3;

const SPEED_TARGET: f64 = 0.8;
const MEMORY_TARGET_MB: f64 = 64.0;

/// A task of both programs.
struct Task {
    name: &'static str,
    input: &'static str,
    /// The variants as parameters of the step.
    variants: &'static [&'static str],
    /// The same variants as parameters of sharp, in the same order.
    sharp_variants: serde_json::Value,
    has_target: bool,
}

fn tasks() -> Vec<Task> {
    let variant = |long_side: u32, format: &str, options: serde_json::Value| json!({"long_side": long_side, "format": format, "options": options});
    let jpeg = |long_side| variant(long_side, "jpeg", json!({"quality": 80}));
    let progressive = |long_side| {
        variant(
            long_side,
            "jpeg",
            json!({"quality": 80, "progressive": true}),
        )
    };
    let webp = |long_side| variant(long_side, "webp", json!({"quality": 75}));
    vec![
        Task {
            name: "JPEG to 720",
            input: "bench/photo-2725x2225.jpg",
            variants: &["x:720:jpeg:80"],
            sharp_variants: json!([jpeg(720)]),
            has_target: true,
        },
        Task {
            name: "JPEG to 200",
            input: "bench/photo-2725x2225.jpg",
            variants: &["x:200:jpeg:80"],
            sharp_variants: json!([jpeg(200)]),
            has_target: true,
        },
        Task {
            name: "PNG to 720",
            input: "bench/alpha-2048x1536.png",
            variants: &["x:720:png"],
            sharp_variants: json!([variant(720, "png", json!({"compressionLevel": 6}))]),
            has_target: false,
        },
        Task {
            name: "four variants",
            input: "photos/nokia-8.3.jpg",
            variants: &[],
            sharp_variants: json!([webp(320), webp(640), progressive(1600), progressive(2048)]),
            has_target: false,
        },
        Task {
            name: "JPEG to WebP 720",
            input: "bench/photo-2725x2225.jpg",
            variants: &["x:720:webp:75"],
            sharp_variants: json!([webp(720)]),
            has_target: false,
        },
    ]
}

/// Runs the benchmark and prints the results.
///
/// # Errors
/// When the component or sharp is missing, or fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let Some(data) = data(repository) else {
        println!(
            "skipped: bench photo needs photos in ../shared/data beside the repository, or in the folder \
             TIRAGE_DATA"
        );
        return Ok(());
    };
    let step = Step::load(&repository.join("build/photo.wasm"))?;
    let folder = tempfile::tempdir()?;
    let sharp = Sharp::new(&repository.join("tests/sharp"), folder.path());
    for task in tasks() {
        compare(&task, &data.join(task.input), &step, &sharp)?;
    }
    large(&step)
}

fn data(repository: &Path) -> Option<PathBuf> {
    let folder = std::env::var_os("TIRAGE_DATA")
        .map_or_else(|| repository.join("../shared/data"), PathBuf::from);
    folder.join("bench").is_dir().then_some(folder)
}

fn compare(task: &Task, input: &Path, step: &Step, sharp: &Sharp) -> anyhow::Result<()> {
    let file = std::fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let query: Vec<String> = task
        .variants
        .iter()
        .map(|variant| format!("variant={variant}"))
        .collect();
    let query = query.join("&");

    let (mut ratios, mut cpu_ratios) = (Vec::new(), Vec::new());
    let (mut ours_ms, mut theirs_ms) = (Vec::new(), Vec::new());
    let (mut ours_cpu, mut theirs_cpu) = (Vec::new(), Vec::new());
    let (mut ours_peak, mut theirs_peak) = (0, 0);
    let mut variants = Vec::new();
    step.measure(&file, &query, WARM)?;
    for _ in 0..ROUNDS {
        let ours = step.measure(&file, &query, PHOTOS)?;
        let theirs = sharp.measure(&task.sharp_variants, input, WARM, PHOTOS)?;
        ratios.push(median(&theirs.milliseconds) / median(&ours.milliseconds));
        cpu_ratios.push(theirs.cpu_milliseconds / ours.cpu_milliseconds);
        ours_ms.extend(ours.milliseconds);
        theirs_ms.extend(theirs.milliseconds);
        ours_cpu.push(ours.cpu_milliseconds / PHOTOS as f64);
        theirs_cpu.push(theirs.cpu_milliseconds / PHOTOS as f64);
        ours_peak = ours_peak.max(ours.peak_bytes);
        theirs_peak = theirs_peak.max(theirs.peak_bytes);
        variants = ours.variants;
    }
    println!("\n{} ({})", task.name, task.input);
    println!(
        "  {:.1} ms, sharp {:.1} ms: {:.2} of its speed ({}){}",
        median(&ours_ms),
        median(&theirs_ms),
        median(&ratios),
        range(&ratios),
        if task.has_target {
            format!(
                ", target {SPEED_TARGET}: {}",
                at_least(median(&ratios), SPEED_TARGET)
            )
        } else {
            String::new()
        },
    );
    println!(
        "  CPU {:.1} ms, sharp {:.1} ms: {:.2} ({})",
        median(&ours_cpu),
        median(&theirs_cpu),
        median(&cpu_ratios),
        range(&cpu_ratios),
    );
    println!(
        "  peak memory: {:.0} MB of the instance; {:.0} MB of sharp's process, Node included",
        ours_peak as f64 / 1e6,
        theirs_peak as f64 / 1e6,
    );
    for (index, variant) in variants.iter().enumerate() {
        let theirs = sharp.variant(index)?;
        let (ours_quality, theirs_quality) = sharp.qualities(input, variant, index)?;
        println!(
            "  variant {}: {} bytes at SSIMULACRA2 {ours_quality:.1}; sharp {} at {theirs_quality:.1}",
            index + 1,
            variant.len(),
            theirs.len(),
        );
    }
    Ok(())
}

/// Measures the memory for a generated photo of 24 megapixels.
fn large(step: &Step) -> anyhow::Result<()> {
    let (width, height) = (6000_u16, 4000_u16);
    let pixels: Vec<u8> = (0..u32::from(height))
        .flat_map(|y| (0..u32::from(width)).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            let grain = ((x * 0x9e37) ^ (y * 0x79b9)).wrapping_mul(0x85eb_ca6b) >> 27;
            [x / 24 + grain, y / 16 + grain, (x + y) / 40].map(|sample| sample.min(255) as u8)
        })
        .collect();
    let mut file = Vec::new();
    jpeg_encoder::Encoder::new(&mut file, 85).encode(
        &pixels,
        width,
        height,
        jpeg_encoder::ColorType::Rgb,
    )?;
    drop(pixels);
    let measured = step.measure(&file, "", 1)?;
    let megabytes = measured.peak_bytes as f64 / 1e6;
    println!(
        "\nbaseline JPEG of {width} x {height} ({:.1} MB), four variants: peak memory {megabytes:.1} MB, \
         target {MEMORY_TARGET_MB}: {}; {:.0} ms",
        file.len() as f64 / 1e6,
        at_most(megabytes, MEMORY_TARGET_MB),
        median(&measured.milliseconds),
    );
    Ok(())
}

"""Converts colours with LittleCMS (through Pillow), as a reference for variants.

    colour.py make FOLDER [PHOTO]         writes pictures in wide colour spaces and prints their names
    colour.py compare ORIGINAL VARIANT    prints the distance of a variant from the original in sRGB

Distances are means over all pixels and channels, of 255.
"""

import colorsys
import io
import json
import os
import struct
import sys

from PIL import Image, ImageChops, ImageCms, ImageStat

WIDTH, HEIGHT = 720, 480

# Red, green and blue as XYZ under D50, as in the profiles of these names, and the exponent of their curve
# (None: the curve of sRGB).
SPACES = {
    "display-p3": (
        ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
        None,
    ),
    "adobe-rgb": (
        ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)),
        2.19922,
    ),
    "prophoto": (
        ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)),
        1.8,
    ),
}
D50 = (0.9642, 1.0, 0.82491)


def fixed(*numbers):
    """Encodes numbers as s15Fixed16Number."""
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def profile(name, primaries, exponent):
    """Returns a display profile with three curves and a matrix (ICC.1:2022, 8.3.3)."""
    if exponent is None:
        curve = fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + curve
    else:
        curve = b"para" + bytes(4) + struct.pack(">HH", 0, 0) + fixed(exponent)
    text = name.encode("utf-16-be")
    text = b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    xyz = [b"XYZ " + bytes(4) + fixed(*colour) for colour in (D50, *primaries)]
    tags = [(b"desc", text), (b"cprt", text), *zip((b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ"), xyz)]
    tags += [(curve_tag, curve) for curve_tag in (b"rTRC", b"gTRC", b"bTRC")]
    table, data = struct.pack(">I", len(tags)), b""
    for tag, element in tags:
        table += tag + struct.pack(">II", 132 + 12 * len(tags) + len(data), len(element))
        data += element + bytes(-len(element) % 4)
    head = struct.pack(">I4xI4s4s4s12s4s28x", 128 + len(table) + len(data), 0x04300000, b"mntr",
                       b"RGB ", b"XYZ ", bytes(12), b"acsp")
    return (head + fixed(*D50)).ljust(128, b"\0") + table + data


def sweep():
    """Returns a picture of all hues, from black to white, and of greys."""
    pixels = []
    for y in range(HEIGHT):
        saturation = 1 if y < HEIGHT * 2 // 3 else 0.5
        for x in range(WIDTH):
            lightness = (y % (HEIGHT // 3)) / (HEIGHT // 3 - 1)
            colour = colorsys.hls_to_rgb(x / WIDTH, lightness, saturation if x else 0)
            pixels.append(tuple(round(255 * channel) for channel in colour))
    picture = Image.new("RGB", (WIDTH, HEIGHT))
    picture.putdata(pixels)
    return picture


def make(folder, photo=None):
    pictures = {"sweep": (sweep(), "png", {})}
    if photo:
        picture = Image.open(photo)
        picture.thumbnail((1200, 1200))
        pictures["photo"] = (picture.convert("RGB"), "jpg", {"quality": 92})
    for space, (primaries, exponent) in SPACES.items():
        for name, (picture, ending, settings) in pictures.items():
            path = os.path.join(folder, f"{name}-{space}.{ending}")
            picture.save(path, icc_profile=profile(space, primaries, exponent), **settings)
            print(os.path.basename(path))


def compare(original, variant):
    original, variant = Image.open(original), Image.open(variant).convert("RGB")
    embedded = ImageCms.ImageCmsProfile(io.BytesIO(original.info["icc_profile"]))
    converted = ImageCms.profileToProfile(
        original, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )

    def distance(reference):
        reference = reference.resize(variant.size, Image.Resampling.LANCZOS)
        means = ImageStat.Stat(ImageChops.difference(reference, variant)).mean
        return sum(means) / len(means)

    print(json.dumps({
        "by_profile": distance(converted),
        "ignoring_profile": distance(original.convert("RGB")),
    }))


{"make": make, "compare": compare}[sys.argv[1]](*sys.argv[2:])

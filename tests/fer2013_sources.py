"""FER2013 made tiny in every form that a person may have it in, and what preprocess.py writes of it."""

import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import ROOT
from tests.fer2013_samples import csv_lines, icml_csv_lines, make_samples

SAMPLES = make_samples({"train": 2, "val": 1, "test": 1})
LINES = csv_lines(SAMPLES)
CSV = "".join(line + "\n" for line in LINES).encode()
ICML = "".join(line + "\r\n" for line in icml_csv_lines(SAMPLES)).encode()
EXPECTED = {f"{sample.split}/{sample.label}/{sample.number:05d}.jpg" for sample in SAMPLES}


def written(folder="data") -> set[str]:
    """What is below the folder, hidden files included, as paths relative to it."""
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()}


def rows(count: int) -> list[str]:
    """Header and rows of a csv of this many good rows."""
    return [LINES[0], *(LINES[1 + index % len(SAMPLES)] for index in range(count))]


def write_lines(lines: list[str]) -> str:
    Path("fer2013.csv").write_text("\n".join(lines) + "\n")
    return "fer2013.csv"


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def noise_jpeg(side: int = 48) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)).save(encoded, "JPEG")
    return encoded.getvalue()


SOURCES = {
    "fer2013.csv": CSV,
    "icml_face_data.csv": ICML,
    "with_byte_order_mark.csv": b"\xef\xbb\xbf" + CSV,
    "quoted.csv": CSV.replace(b"Training", b'"Training"'),
    "fer2013.csv.gz": gzip.compress(CSV),
    "fer2013.csv.xz": lzma.compress(CSV),
    "icml_face_data.csv.gz": gzip.compress(ICML),
    "fer2013.zip": zipped({"readme.txt": b"hello", "fer2013/fer2013.csv": CSV}),
    "icml_face_data.csv.zip": zipped({"icml_face_data.csv": ICML}),
    "fer2013.tar.gz": tarred({"fer2013/README": b"hello" * 1000, "fer2013/fer2013.csv": CSV}),
    "fer2013.tar.xz": tarred({"fer2013/fer2013.csv": CSV}, "w:xz"),
    "contest.zip": zipped(
        {
            "example_submission.csv": b"emotion\n0\n",
            "fer2013.tar.gz": tarred({"fer2013/fer2013.csv": CSV}),
            "test.csv": b"pixels\n0 0 0\n",
            "train.csv": b"emotion,pixels\n0,0 0 0\n",
        }
    ),
    "zip_in_zip.zip": zipped({"icml_face_data.csv.zip": zipped({"icml_face_data.csv": ICML})}),
    "name_without_extension": gzip.compress(CSV),
}


def run_process(code: str, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

"""What demo_image_batch.py does with a picture: reads any kind, or says why not, and writes its copies."""

import os
import shutil
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.batch import face, files, label, photos, rows, stand_in  # noqa: F401 - fixtures

# ruff: noqa: F811 - fixtures are arguments


# Reading


def test_bad_files_are_rows_with_a_reason_and_stop_nothing(photos, label):
    data = (photos / "a.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(data[: len(data) // 2])
    (photos / "empty.jpg").touch()
    (photos / "text.png").write_text("no picture")
    (photos / "folder.jpg").mkdir()
    (photos / "link.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(photos / "pipe.jpg")
    (photos / "bomb.png").write_bytes(bomb())
    Image.new("RGB", (1, 1)).save(photos / "dot.png")
    Image.new("RGB", (5000, 1)).save(photos / "line.png")
    assert label(photos) == 1
    statuses = {row["file"]: (row["status"], row["reason"]) for row in rows()}
    reasons = {name: reason for name, (status, reason) in statuses.items() if status == "unreadable"}
    assert reasons.keys() == {"cut.jpg", "empty.jpg", "text.png", "link.jpg", "pipe.jpg", "bomb.png"}
    assert all(reasons.values()) and "64 megapixels" in reasons["bomb.png"] and reasons["empty.jpg"] == "is empty"
    assert {name for name, (status, _) in statuses.items() if status == "no-face"} == {"b.png", "dot.png", "line.png"}
    assert statuses["a.jpg"][0] == "ok"


def bomb() -> bytes:
    """A small PNG of 20000×20000."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(20001 * 100)) for _ in range(200)) + packer.flush()
    header = b"".join(number.to_bytes(4, "big") for number in (20000, 20000)) + bytes([8, 0, 0, 0, 0])
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big") for kind, body in chunks
    )


def test_any_kind_of_picture_is_read(photos, label, face):
    face.convert("CMYK").save(photos / "cmyk.jpg")
    Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257).save(photos / "sixteen.png")
    transparent = face.convert("RGBA")
    transparent.putalpha(240)
    transparent.save(photos / "alpha.png")
    face.convert("P").save(photos / "palette.gif")
    face.save(photos / "animated.webp", save_all=True, append_images=[face.rotate(90)])
    shutil.copy(photos / "a.jpg", photos / "in truth a jpeg.bmp")
    turned = Image.Exif()
    turned[0x0112] = 6
    face.rotate(90, expand=True).save(photos / "turned.jpg", exif=turned)
    assert label(photos) == 0
    expected = {path.name: "ok" for path in photos.iterdir()} | {"b.png": "no-face"}
    assert {row["file"]: row["status"] for row in rows()} == expected


def test_max_megapixels_refuses_larger_pictures(photos, label):
    assert label(photos, "--max-megapixels", "0.01") == 1
    assert [row["status"] for row in rows()] == ["unreadable", "no-face"]


# Copies


def test_copies_mirror_the_tree_and_leave_the_sources_alone(photos, label, face):
    for name in ("sub/a.jpg", "sub/deeper/a.png", "a.gif", "a.gif.annotated.jpg", "a.jpg.annotated.jpg"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        face.save(photos / name)
    (photos / "sub/up").symlink_to("..")
    before = files(photos)
    assert label(photos, "--recursive") == 0
    assert files(photos) == before
    copies = {name for name in files("output/annotated")}
    assert {"a.jpg", "sub/a.jpg", "sub/deeper/a.png"} < copies
    assert len(copies) == len({row["file"] for row in rows() if row["status"] == "ok"}) == 6
    with Image.open("output/annotated/a.jpg") as copy, Image.open(photos / "a.jpg") as source:
        assert copy.size == source.size and copy.tobytes() != source.tobytes()


def test_large_copies_are_made_smaller_with_boxes_in_place(photos, label, face):
    face.resize((2000, 2000)).save(photos / "large.png")
    assert label(photos / "large.png") == 0
    with Image.open("output/annotated/large.png") as copy:
        assert copy.size == (1600, 1600)
        x, y, width, _ = (round(0.8 * int(rows()[0][name])) for name in ("x", "y", "width", "height"))
        source = face.resize((1600, 1600)).convert("RGB")
        difference = np.abs(np.asarray(copy.convert("RGB")).astype(int) - np.asarray(source)).sum(2)
        assert difference[y + 150 : y + 160, x].mean() > 2 * difference[y + 150 : y + 160, x + width // 2].mean() + 30


def test_no_annotate_writes_no_copies(photos, label):
    assert label(photos, "--no-annotate") == 0
    assert files("output").keys() == {"results.csv"}


def test_sort_into_copies_by_the_largest_faces_expression(photos, label):
    assert label(photos, "--sort-into", "sorted") == 0
    expression = rows()[0]["expression"].lower()
    sources = files(photos)
    assert files("sorted") == {f"{expression}/a.jpg": sources["a.jpg"], "no-face/b.png": sources["b.png"]}


def test_emoji_draws_little_faces_into_the_copies_but_for_uncertain_ones(photos, label):
    for name, flags in {"plain": [], "emoji": ["--emoji"], "uncertain": ["--emoji", "--min-confidence", "0.9"],
                        "plain uncertain": ["--min-confidence", "0.9"]}.items():  # fmt: skip
        assert label(photos, "--output", name, *flags) == 0
    copies = {name: files(f"{name}/annotated")["a.jpg"] for name in ("plain", "emoji", "uncertain", "plain uncertain")}
    assert copies["emoji"] != copies["plain"] and copies["uncertain"] == copies["plain uncertain"]


def test_a_copy_that_cannot_be_written_is_said_in_the_table(photos, label):
    Path("output/annotated/a.jpg/mine").mkdir(parents=True)
    assert label(photos, "--overwrite") == 1
    assert rows()[0]["status"] == "ok" and rows()[0]["expression"] and "no annotated copy" in rows()[0]["reason"]

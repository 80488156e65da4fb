"""demo_image_batch.py as a person runs it: what it writes, whatever the pictures and names, and however it is stopped.

The network is a stand-in in most tests, which answers by the brightness of a face: these tests are about everything
around it. `python -c "from tests.test_demo_image_batch import run; run()" ARGUMENTS` is the script with the stand-in.
"""

import csv
import errno
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import demo_image_batch
from demo_image_batch import main
from models.batch import pool, results
from models.batch.journal import Journal
from models.batch.pipeline import label_pictures
from models.batch.pool import WorkerError, WorkerPool
from models.batch.records import OK, UNREADABLE, Record
from models.batch.sources import find_sources
from models.batch.tables import write_table
from models.batch.worker import Job
from models.command_line import leave
from models.expressions import CLASS_NAMES
from models.faces import Detection

ROOT = Path(demo_image_batch.__file__).parent
COLUMNS = ["file", "status", "face", "x", "y", "width", "height", "detector_score", "expression", "confidence"]
COLUMNS += [*map(str.lower, CLASS_NAMES), "reason"]
NASTY_NAMES = [
    "with space.jpg", 'quote".jpg', "apostrophe's.jpg", "comma,semi;colon.jpg", "line\nend.jpg", "return\rhere.jpg",
    "=1+1.jpg", "+a.jpg", "-rf.jpg", "@x.jpg", "\ttab.jpg", "<b>&amp;.jpg", "'=quoted.jpg", "emoji 😀.jpg",
    os.fsdecode(b"bytes \xff\xfe.jpg"),
]  # fmt: skip


class StandIn:
    """In the classifier's place: a face's brightness says its class."""

    class_names = list(CLASS_NAMES)
    device, precision = "cpu", "fp32"
    seconds_a_face = 0.0

    def __init__(self):
        self.batches: list[int] = []

    def classify(self, crops, batch_size=32):
        self.batches.append(len(crops))
        time.sleep(self.seconds_a_face * len(crops))
        probabilities = np.full((len(crops), len(self.class_names)), 0.05, np.float32)
        for row, crop in zip(probabilities, crops, strict=True):
            row[int(crop.mean()) % len(self.class_names)] = 0.7
        return probabilities


def run(most_lines: float = math.inf) -> None:
    """The script with the stand-in, slow; with so many lines in its journal it waits to be stopped."""
    append = Journal.append

    def append_and_wait(journal: Journal, record: Record) -> None:
        append(journal, record)
        if lines_done() >= most_lines:
            time.sleep(300)

    Journal.append = append_and_wait
    StandIn.seconds_a_face = 0.03
    demo_image_batch.load_classifier = lambda arguments: StandIn()
    leave(main(sys.argv[1:]))


def lines_done() -> int:
    part = Path("output/.batch/parts/0.jsonl")
    return part.read_bytes().count(b"\n") if part.exists() else 0


def start(*arguments) -> subprocess.Popen:
    code = "from tests.test_demo_image_batch import run; run(60)"
    command = [sys.executable, "-c", code, *map(str, arguments), "--detector", "haar", "--workers", "2"]
    environment, pipe = os.environ | {"PYTHONPATH": str(ROOT)}, subprocess.PIPE

    def take_ctrl_c() -> None:  # a shell's background jobs, and what they start, are deaf to it
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True, preexec_fn=take_ctrl_c
    )


@pytest.fixture(scope="session")
def face() -> Image.Image:
    """A photograph, small and quick to search, with one face."""
    with Image.open(ROOT / "input/4.jpg") as picture:
        return picture.crop((100, 10, 350, 260)).resize((128, 128))


@pytest.fixture
def photos(tmp_path, monkeypatch, face) -> Path:
    """A folder with a face in `a.jpg` and none in `b.png`, beside which the test stands."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    face.save(folder / "a.jpg")
    Image.new("RGB", (80, 60), "teal").save(folder / "b.png")
    return folder


@pytest.fixture
def stand_in(monkeypatch) -> StandIn:
    classifier = StandIn()
    monkeypatch.setattr(demo_image_batch, "load_classifier", lambda arguments: classifier)
    return classifier


@pytest.fixture
def label(stand_in):
    """Runs the script in this process; returns its exit code."""
    return lambda *arguments: main([*map(str, arguments), "--detector", "haar", "--workers", "1"])


def rows(output="output") -> list[dict]:
    with open(Path(output) / "results.csv", encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def files(folder) -> dict[str, bytes]:
    """Everything in a folder, but for what a run keeps for itself."""
    below = (path for path in Path(folder).rglob("*") if path.is_file() and ".batch" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in below}


# --- the table ---


def test_table_has_a_row_a_face_and_one_for_a_picture_without(photos, label, capsys):
    two_faces = Image.new("RGB", (400, 256))
    with Image.open(photos / "a.jpg") as picture:
        two_faces.paste(picture.resize((256, 256)), (0, 0))
        two_faces.paste(picture, (264, 60))
    two_faces.save(photos / "c.jpg")
    assert label(photos) == 0
    table = rows()
    assert list(table[0]) == COLUMNS
    assert [(row["file"], row["status"], row["face"]) for row in table] == [
        ("a.jpg", "ok", "1"), ("b.png", "no-face", ""), ("c.jpg", "ok", "1"), ("c.jpg", "ok", "2"),
    ]  # fmt: skip
    assert int(table[2]["width"]) > int(table[3]["width"]) > 30
    assert 0 <= int(table[0]["x"]) < 128
    assert table[0]["expression"] in CLASS_NAMES
    assert table[0]["confidence"] == table[0][table[0]["expression"].lower()] == "0.7"
    assert set(list(table[1].values())[2:]) == {""}
    printed = capsys.readouterr().out
    assert "a.jpg  ok" in printed
    assert str(Path("output/annotated/a.jpg")) in printed and str(Path("output/results.csv")) in printed


def test_shipped_pictures_are_labelled_by_the_shipped_weights(tmp_path):
    command = [sys.executable, ROOT / "demo_image_batch.py", "--output", tmp_path, "--detector", "haar"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    answers = {row["file"]: (row["status"], row["expression"]) for row in rows(tmp_path)}
    assert answers["1.jpg"] == answers["4.jpg"] == ("ok", "Happy")
    assert answers["5.jpg"] == ("no-face", "")


def test_class_columns_are_the_checkpoints_own(photos, label, stand_in):
    stand_in.class_names = ["Calm", "Not calm"]
    assert label(photos) == 0
    assert list(rows()[0])[-3:] == ["calm", "not calm", "reason"]


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


def test_csv_is_whole_and_safe_whatever_the_names(photos, label, face):
    (photos / "a.jpg").unlink()
    (photos / "b.png").unlink()
    for name in NASTY_NAMES:
        face.save(photos / "x.jpg")
        (photos / "x.jpg").rename(photos / name)
    assert label(photos) == 0
    table = rows()
    names = {os.path.normpath(row["file"].replace("\\udcff\\udcfe", "\udcff\udcfe")) for row in table}
    assert names == set(NASTY_NAMES)
    cells = [cell for row in table for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert {path.name for path in Path("output/annotated").iterdir()} == set(NASTY_NAMES)


def test_a_formula_in_a_class_name_is_defused(tmp_path):
    write_table(tmp_path / "results.csv", [Record("a.jpg", UNREADABLE, "=1+1")], ["=HYPERLINK()"])
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert ",'=hyperlink()," in lines[0] and lines[1].endswith(",'=1+1")


def test_jsonl_gives_undecodable_names_back(photos, label):
    name = os.fsdecode("bytes 😀 ".encode() + b"\xff.jpg")
    (photos / "a.jpg").rename(photos / name)
    assert label(photos, "--format", "jsonl") == 0
    lines = [json.loads(line) for line in Path("output/results.jsonl").read_text("utf-8").splitlines()]
    assert [line["file"] for line in lines] == ["b.png", name]
    assert list(lines[0]) == COLUMNS and lines[0]["x"] is None and lines[1]["confidence"] == 0.7


def test_parquet_holds_the_same_table(photos, label):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert label(photos, "--format", "parquet") == 0
    table = parquet.read_table("output/results.parquet").to_pylist()
    assert list(table[0]) == COLUMNS and [row["status"] for row in table] == ["ok", "no-face"]


def test_parquet_without_its_package_names_it(photos, label, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert label(photos, "--format", "parquet") == 2
    assert "pip install pyarrow" in capsys.readouterr().err


# --- copies ---


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


@pytest.mark.parametrize("output", ["photos", "photos/output"])
def test_output_in_the_input_overwrites_no_source_and_is_no_input(photos, label, output):
    before = files(photos)
    flags = ("--recursive", "--report", "--sort-into", f"{output}/sorted", "--output", output)
    assert label(photos, *flags) == 0
    assert label(photos, *flags, "--overwrite") == 0
    assert [row["file"] for row in rows(output)] == ["a.jpg", "b.png"]
    assert before.items() <= files(photos).items()


def test_own_copies_are_no_input_even_when_asked_for(photos, label, capsys):
    label(photos, "--output", photos)
    before = files(photos)
    assert label(photos / "annotated", "--output", photos) == 1
    assert "left out" in capsys.readouterr().err
    assert files(photos) == before


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


def test_min_confidence_makes_a_weaker_answer_uncertain(photos, label):
    assert label(photos, "--min-confidence", "0.71", "--sort-into", "sorted") == 0
    assert (rows()[0]["expression"], rows()[0]["confidence"]) == ("uncertain", "0.7")
    assert "uncertain/a.jpg" in files("sorted")


def test_emoji_draws_little_faces_into_the_copies_but_for_uncertain_ones(photos, label):
    for name, flags in {"plain": [], "emoji": ["--emoji"], "uncertain": ["--emoji", "--min-confidence", "0.9"],
                        "plain uncertain": ["--min-confidence", "0.9"]}.items():  # fmt: skip
        assert label(photos, "--output", name, *flags) == 0
    copies = {name: files(f"{name}/annotated")["a.jpg"] for name in ("plain", "emoji", "uncertain", "plain uncertain")}
    assert copies["emoji"] != copies["plain"] and copies["uncertain"] == copies["plain uncertain"]


def test_report_is_written_with_thumbnails(photos, label):
    assert label(photos, "--report") == 0
    written = files("output")
    assert b'"a.jpg"' in written["report.html"]
    assert len([name for name in written if name.startswith("report-thumbnails/")]) == 2


# --- whose the files are ---


def test_a_second_run_replaces_the_first_ones_table_and_says_so(photos, label, capsys):
    assert label(photos) == 0
    first = files("output")
    (photos / "b.png").unlink()
    assert label(photos) == 0
    assert "replacing" in capsys.readouterr().err
    assert len(rows()) == 1 and files("output")["annotated/a.jpg"] == first["annotated/a.jpg"]


def test_nothing_of_a_persons_is_overwritten_unasked(photos, label, capsys):
    Path("output/annotated").mkdir(parents=True)
    for name in ("output/results.csv", "output/annotated/mine.jpg"):
        Path(name).write_text("mine")
        assert label(photos) == 2
        message = capsys.readouterr().err
        assert name.removesuffix("/mine.jpg") in message and "--overwrite" in message
    assert files("output") == {"results.csv": b"mine", "annotated/mine.jpg": b"mine"}
    assert label(photos, "--overwrite") == 0
    assert len(rows()) == 2


def test_a_table_that_a_person_changed_or_that_is_of_other_pictures_stays(photos, label, tmp_path):
    assert label(photos) == 0
    other = tmp_path / "other"
    shutil.copytree(photos, other)
    assert label(other) == 2
    table = Path("output/results.csv")
    table.write_text(table.read_text() + "a note\n")
    assert label(photos) == 2
    assert table.read_text().endswith("a note\n")


def test_two_runs_do_not_share_an_output_folder_at_a_time(photos, label, capsys):
    from models.files import locked

    with locked(Path("output/.batch/lock"), Path("output")):
        assert label(photos) == 2
    assert "another run" in capsys.readouterr().err
    assert label(photos) == 0


def test_a_stopped_run_is_gone_on_with_only_as_it_was_begun(photos, label, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", stopped)
        assert label(photos) == 130
    assert "--resume" in capsys.readouterr().err
    assert label(photos) == 2
    assert "--resume" in capsys.readouterr().err
    assert label(photos, "--resume", "--min-confidence", "0.9") == 2
    assert "--min-confidence" in capsys.readouterr().err
    assert label(photos, "--resume") == 0
    assert len(rows()) == 2


def test_resume_where_nothing_was_begun_begins_and_later_takes_what_is_new(photos, label, face):
    assert label(photos, "--resume") == 0
    face.save(photos / "0.jpg")
    assert label(photos, "--resume") == 0
    assert [row["file"] for row in rows()] == ["0.jpg", "a.jpg", "b.png"]


# --- stops ---


@pytest.fixture
def many(photos, face) -> Path:
    """A folder of 70 pictures, most with a face, in brightnesses that are different classes."""
    empty = Image.new("RGB", (90, 90))
    for number in range(2, 70):
        darker = face.point([max(value - number % 7, 0) for value in range(256)] * 3)
        (darker if number % 5 else empty).save(photos / f"{number}.png")
    return photos


def wait_for_lines(count: int, process: subprocess.Popen) -> None:
    while process.poll() is None and lines_done() < count:
        time.sleep(0.005)


def test_killed_at_any_moment_a_run_goes_on_and_ends_with_the_table_of_an_unbroken_one(many, label, stand_in):
    assert label(many, "--output", "unbroken") == 0
    for count in (0, 1, 20, 40):
        process = start(many, "--resume")
        wait_for_lines(count, process)
        if count == 20:
            process.kill()  # its workers end by themselves
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if Path("output/results.csv").exists():
            rows()
    done = lines_done()
    assert 40 <= done < 70
    stand_in.batches.clear()
    assert label(many, "--resume") == 0
    assert files("output") == files("unbroken")
    assert sum(stand_in.batches) <= 70 - done
    names = [json.loads(line)["file"] for line in Path("output/.batch/parts/0.jsonl").read_bytes().splitlines()]
    assert len(names) == len(set(names)) == 70


def test_half_a_line_in_the_journal_is_cut_off_and_its_picture_done_again(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(Record("a.jpg", OK))
    whole = (tmp_path / "0.jsonl").read_bytes()
    for torn in (whole[:-1], whole[: len(whole) // 2], bytes(100)):
        (tmp_path / "0.jsonl").write_bytes(whole + torn)
        with Journal(tmp_path) as journal:
            assert journal.done == {"a.jpg"}
            journal.append(Record("b.jpg", OK))
        assert [record.file for record in journal.records(["b.jpg", "a.jpg"])] == ["b.jpg", "a.jpg"]


def test_journal_ends_with_a_whole_line_when_the_disk_is_full(tmp_path):
    class FullDisk(io.FileIO):
        def write(self, data):
            if not (room := 600 - self.tell()):
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:room])

    with Journal(tmp_path) as journal:
        journal._file.close()
        journal._file = FullDisk(tmp_path / "0.jsonl", "ab")
        journal.append(Record("a.jpg", OK, "x" * 300))
        with pytest.raises(OSError, match="No space"):
            journal.append(Record("b.jpg", OK, "x" * 300))
    assert [json.loads(line)["file"] for line in (tmp_path / "0.jsonl").read_bytes().splitlines()] == ["a.jpg"]


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs to mount a small file system")
def test_a_full_disk_stops_the_run_and_leaves_whole_tables(many, label, capsys):
    Path("output").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", "output"], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        assert label(many) == 1
        message = capsys.readouterr().err
        assert "--resume" in message and "No space left" in message
        rows()
        subprocess.run(["mount", "-o", "remount,size=20m", "output"], check=True)
        assert label(many, "--resume") == 0
        assert len({row["file"] for row in rows()}) == 70
    finally:
        subprocess.run(["umount", "output"], check=True)


def test_ctrl_c_ends_cleanly_with_a_whole_table_and_says_how_to_go_on(many):
    for number in range(70, 600):  # enough that the workers are not done before the key is pressed
        shutil.copy(many / f"{2 + number % 60}.png", many / f"{number}.png")
    process = start(many)
    wait_for_lines(10, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in message and "Traceback" not in message
    assert 10 <= len({row["file"] for row in rows()}) < 600


@dataclass(frozen=True)
class Deadly:
    """A detector that ends its process, or hangs, at a red picture, and finds a face in any other."""

    act: str = "die"

    def __call__(self):
        if self.act == "die at once":
            os._exit(3)
        return self

    def detect(self, picture):
        if picture[..., 0].mean() > 200:
            os.kill(os.getpid(), signal.SIGKILL) if self.act == "die" else time.sleep(60)
        return [Detection((10.0, 10.0, 40.0, 40.0), 1.0, None, "haar")]


def label_with(detector: Deadly, folder: Path, count: int = 12) -> list[Record]:
    """Labels a folder's pictures, of which number 5 is red."""
    for number in range(count):
        Image.new("RGB", (60, 60), "red" if number == 5 else "teal").save(folder / f"{number}.png")
    sources = find_sources([str(folder)])
    with WorkerPool(2, Job(detector, sources.root, folder / "output")) as pool:
        return list(label_pictures(sources.pictures, StandIn(), pool))


def test_a_picture_that_kills_its_process_is_unreadable_and_the_others_are_done(tmp_path):
    records = label_with(Deadly(), tmp_path)
    assert [record.status for record in records] == [OK] * 5 + [UNREADABLE] + [OK] * 6
    assert "killed" in records[5].reason
    others = records[:5] + records[6:]
    assert all(record.reason == "" and (tmp_path / "output" / record.copy).exists() for record in others)


def test_a_picture_that_takes_forever_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "LONGEST_SECONDS", 4.0)
    records = label_with(Deadly("hang"), tmp_path)
    assert [record.status for record in records] == [OK] * 5 + [UNREADABLE] + [OK] * 6
    assert "4 seconds" in records[5].reason


def test_processes_that_cannot_start_are_an_error_and_not_unreadable_pictures(tmp_path):
    with pytest.raises(WorkerError, match="exit code 3"):
        label_with(Deadly("die at once"), tmp_path)


def test_a_whole_table_is_there_while_the_run_is_at_work(photos, label, monkeypatch):
    monkeypatch.setattr(results, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(results, "LARGEST_SHARE", 1e9)
    append, seen = Journal.append, []

    def append_and_look(journal, record):
        seen.append(len(rows()) if Path("output/results.csv").exists() else 0)
        append(journal, record)

    monkeypatch.setattr(Journal, "append", append_and_look)
    assert label(photos) == 0
    assert seen == [0, 1]


def test_a_copy_that_cannot_be_written_is_said_in_the_table(photos, label):
    Path("output/annotated/a.jpg/mine").mkdir(parents=True)
    assert label(photos, "--overwrite") == 1
    assert rows()[0]["status"] == "ok" and rows()[0]["expression"] and "no annotated copy" in rows()[0]["reason"]


# --- which pictures, and how many at a time ---


def test_faces_of_many_pictures_share_a_batch_and_records_keep_the_order(many, label, stand_in):
    assert label(many) == 0
    assert max(stand_in.batches) >= 32 and len(stand_in.batches) <= 3
    names = list(dict.fromkeys(row["file"] for row in rows()))
    assert names == [*(f"{number}.png" for number in range(2, 70)), "a.jpg", "b.png"]


def test_pictures_pattern_list_and_standard_input(photos, label, monkeypatch):
    Path("names.txt").write_bytes(b"\xef\xbb\xbfphotos/b.png\r\nphotos/a.jpg\r\n")
    feed = lambda data: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))  # noqa: E731
    for number, (arguments, data, expected) in enumerate([
        (["photos/b.png", "photos/a.jpg", "./photos/b.png"], b"", ["photos/b.png", "photos/a.jpg"]),
        (["photos/*.jpg"], b"", ["photos/a.jpg"]),
        (["names.txt"], b"", ["photos/b.png", "photos/a.jpg"]),
        (["-"], b"photos/a.jpg\nphotos/b.png\n", ["photos/a.jpg", "photos/b.png"]),
        (["-"], b"photos/b.png\0photos/a.jpg\0", ["photos/b.png", "photos/a.jpg"]),
        (["photos", "names.txt"], b"", ["photos/a.jpg", "photos/b.png"]),
    ]):  # fmt: skip
        feed(data)
        assert label(*arguments, "--output", f"output{number}") == 0
        assert [row["file"] for row in rows(f"output{number}")] == expected
        assert (Path(f"output{number}") / "annotated/a.jpg").exists()


def test_a_name_in_a_list_that_is_gone_is_a_row(photos, label):
    Path("names.txt").write_text("photos/gone.jpg\nphotos/a.jpg\n")
    assert label("names.txt") == 1
    statuses = [(row["file"], row["status"]) for row in rows()]
    assert statuses == [("photos/gone.jpg", "unreadable"), ("photos/a.jpg", "ok")]


@pytest.mark.parametrize(
    "code, arguments",
    [
        (2, ["nowhere"]), (1, ["empty"]), (2, ["photos", "--output", "file"]), (2, ["photos", "--detector", "yunet"]),
        (2, ["photos", "--checkpoint", "file"]), (2, ["photos", "nothing*.jpg"]),
    ],
)  # fmt: skip
def test_wrong_use_is_told_in_a_sentence_and_writes_nothing(photos, capsys, code, arguments):
    Path("empty").mkdir()
    Path("file").touch()
    assert main([*arguments, "--workers", "1"]) == code
    message = capsys.readouterr().err
    assert message and "Traceback" not in message
    assert not Path("output").exists()


def test_json_is_one_object_on_standard_output(photos, label, capsys):
    (photos / "c.jpg").touch()
    assert label(photos, "--json") == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["pictures"] == 3 and summary["statuses"] == {"ok": 1, "no-face": 1, "unreadable": 1}


def test_many_pictures_are_counted_and_not_listed(many, label, capsys):
    assert label(many) == 0
    printed = capsys.readouterr().out
    assert "pictures: 70" in printed and "69.png" not in printed


def test_names_reach_the_terminal_without_its_codes(photos, label, capsys):
    (photos / "a.jpg").rename(photos / "\x1b[31m\nred.jpg")
    assert label(photos) == 0
    assert "\\x1b[31m\\nred.jpg  ok" in capsys.readouterr().out


def test_two_processes_of_torchrun_give_the_table_of_one(many, label):
    assert label(many, "--output", "one") == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [*torchrun, "tests.test_demo_image_batch", many, "--output", "two", "--detector", "haar"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert files("two") == files("one")
    parts = [path.read_bytes().count(b"\n") for path in Path("two/.batch/parts").iterdir()]
    assert len(parts) == 2 and sum(parts) == 70 and min(parts) > 15


if __name__ == "__main__":
    run()

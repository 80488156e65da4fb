"""demo_image_batch.py --resume after the pictures changed: what is done again, left out, removed and moved aside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from models.batch import earlier, run
from models.batch.journal import Journal
from models.batch.records import Record
from tests.batch import face, files, label, many, photos, rows, stand_in  # noqa: F401 - fixtures
from tests.conftest import ROOT

# ruff: noqa: F811 - fixtures are arguments

SORTED = ("--sort-into", "sorted", "--report")


def answers(output="output") -> list[tuple[str, str]]:
    return [(row["file"], row["status"]) for row in rows(output)]


def replace_by_an_empty_one(path: Path) -> None:
    Image.new("RGB", (70, 50), "maroon").save(path)


def thumbnails() -> int:
    return len(list(Path("output/report-thumbnails").iterdir()))


def test_a_replaced_picture_is_done_again_and_a_deleted_one_has_no_row_and_no_copies(photos, label, face, capsys):
    face.save(photos / "c.jpg")
    assert label(photos, *SORTED) == 0
    before = files("sorted")
    replace_by_an_empty_one(photos / "a.jpg")
    (photos / "c.jpg").unlink()
    capsys.readouterr()
    assert label(photos, *SORTED, "--resume") == 0
    assert answers() == [("a.jpg", "no-face"), ("b.png", "no-face")]
    assert not list(Path("output/annotated").iterdir()) and thumbnails() == 2
    told = capsys.readouterr().err
    assert "1 done again" in told and "1 left out" in told and "2 sorted copies moved to sorted/(earlier)" in told
    # Each may be the last copy of a photograph.
    aside = {f"(earlier)/{name}": data for name, data in before.items() if name[-5:] in ("a.jpg", "c.jpg")}
    assert len(aside) == 2 and aside.items() <= files("sorted").items()
    assert files("sorted").keys() - aside.keys() == {"no-face/a.jpg", "no-face/b.png"}


def test_unchanged_pictures_are_not_done_again_even_those_that_cannot_be_read(photos, label, stand_in, capsys):
    (photos / "cut.jpg").write_bytes((photos / "a.jpg").read_bytes()[:900])
    Path("names.txt").write_text("photos/a.jpg\nphotos/cut.jpg\nphotos/gone.jpg\n")
    assert label("names.txt") == 1
    journal = Path("output/.batch/parts/0.jsonl").read_bytes()
    stand_in.batches.clear()
    assert label("names.txt", "--resume") == 1
    assert stand_in.batches == [] and Path("output/.batch/parts/0.jsonl").read_bytes() == journal
    assert "done again" not in capsys.readouterr().err


def test_a_listed_picture_that_was_not_there_is_done_when_it_is(photos, label, face):
    Path("names.txt").write_text("photos/late.jpg\nphotos/a.jpg\n")
    assert label("names.txt") == 1
    assert answers()[0] == ("photos/late.jpg", "unreadable")
    face.save(photos / "late.jpg")
    assert label("names.txt", "--resume") == 0
    assert answers() == [("photos/late.jpg", "ok"), ("photos/a.jpg", "ok")]


def test_what_a_package_was_missing_for_is_tried_again(photos, label):
    assert label(photos) == 0
    part = Path("output/.batch/parts/0.jsonl")
    values = [json.loads(line) for line in part.read_bytes().splitlines()]
    values[0] |= {"status": "unreadable", "reason": "needs a package: `python -m pip install it`", "faces": []}
    part.write_text("".join(json.dumps(line) + "\n" for line in values))
    assert label(photos, "--resume") == 0
    assert answers()[0] == ("a.jpg", "ok")


def test_the_same_bytes_at_another_time_and_other_bytes_of_the_same_length_are_other_files(photos, label, stand_in):
    assert label(photos) == 0
    for change in (lambda path: os.utime(path, ns=(1, 1)), lambda path: path.write_bytes(path.read_bytes()[::-1])):
        change(photos / "a.jpg")
        stand_in.batches.clear()
        label(photos, "--resume")
        assert (sum(stand_in.batches) == 1) == (answers()[0] == ("a.jpg", "ok"))
    assert answers()[0] == ("a.jpg", "unreadable")


def test_answers_of_an_older_version_which_kept_no_stamps_are_done_again(photos, label, stand_in):
    assert label(photos) == 0
    part = Path("output/.batch/parts/0.jsonl")
    values = [json.loads(line) for line in part.read_bytes().splitlines()]
    old = [{name: value for name, value in line.items() if name not in ("stamp", "written")} for line in values]
    part.write_text("".join(json.dumps(line) + "\n" for line in old))
    run_json = Path("output/.batch/run.json")
    settings = json.loads(run_json.read_bytes())
    run_json.write_text(json.dumps({k: v for k, v in settings.items() if k not in ("root", "weights")}))
    stand_in.batches.clear()
    assert label(photos, "--resume") == 0
    assert stand_in.batches == [1]
    assert [json.loads(line) for line in part.read_bytes().splitlines()] != old and len(rows()) == 2


def test_what_a_person_edited_or_moved_or_put_there_is_never_touched(photos, label, face, capsys):
    for name in ("c.jpg", "d.jpg", "e.jpg"):
        face.save(photos / name)
    assert label(photos, *SORTED) == 0
    folder = next(path.parent for path in Path("sorted").rglob("c.jpg"))
    (folder / "c.jpg").write_text("edited")
    Path("sorted/mine").mkdir()
    (folder / "d.jpg").rename("sorted/mine/d.jpg")
    Path("output/annotated/d.jpg").write_text("edited")
    os.symlink(os.path.abspath("sorted/mine/d.jpg"), folder / "d.jpg")
    mine = {name: data for name, data in files("sorted").items() if name[-5:] in ("c.jpg", "d.jpg")}
    for name in ("c.jpg", "d.jpg", "e.jpg"):
        (photos / name).unlink()
    assert label(photos, *SORTED, "--resume") == 0
    assert len(mine) == 3 and mine.items() <= files("sorted").items()
    assert files("output")["annotated/d.jpg"] == b"edited" and "annotated/c.jpg" not in files("output")
    assert "1 sorted copies moved" in capsys.readouterr().err


def test_a_sorted_copy_takes_no_other_files_place(photos, label, face):
    assert label(photos, *SORTED) == 0
    folder = next(path.parent for path in Path("sorted").rglob("a.jpg"))
    (folder / "a.jpg").write_text("edited")
    os.utime(photos / "a.jpg", ns=(1, 1))
    assert label(photos, *SORTED, "--resume") == 1
    assert (folder / "a.jpg").read_text() == "edited" and "another file is there" in rows()[0]["reason"]


def test_a_picture_named_as_another_was_keeps_its_copy(photos, label, face):
    """The folder above all pictures changes with a list, and with it where each copy lies."""
    for name in ("photos/y/a.jpg", "photos/x/y/a.jpg", "photos/x/b.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        face.point([max(value - len(name), 0) for value in range(256)] * 3).save(name)
    Path("names.txt").write_text("photos/x/y/a.jpg\nphotos/x/b.jpg\n")
    assert label("names.txt", *SORTED) == 0
    Path("names.txt").write_text("photos/x/y/a.jpg\nphotos/x/b.jpg\nphotos/y/a.jpg\n")
    assert label("names.txt", *SORTED, "--resume") == 0
    assert label("names.txt", "--output", "fresh", "--sort-into", "fresh sorted", "--report") == 0
    assert files("output/annotated") == files("fresh/annotated") and len(files("fresh/annotated")) == 3
    assert files("sorted") == files("fresh sorted")


def test_a_run_from_the_beginning_leaves_no_copies_of_deleted_pictures_nor_sorts_one_twice(photos, label, face):
    face.save(photos / "c.jpg")
    assert label(photos, *SORTED) == 0
    (photos / "c.jpg").unlink()
    assert label(photos, *SORTED, "--overwrite", "--min-confidence", "0.9") == 0
    assert files("output/annotated").keys() == {"a.jpg"} and thumbnails() == 2
    sorted_now = {name for name in files("sorted") if not name.startswith("(earlier)")}
    assert sorted_now == {"uncertain/a.jpg", "no-face/b.png"}
    assert [name[-5:] for name in files("sorted") if name.startswith("(earlier)")] == ["c.jpg"]


def test_a_run_that_writes_no_copies_leaves_those_of_the_one_before(photos, label):
    assert label(photos, *SORTED) == 0
    before = files("sorted"), files("output/annotated")
    assert label(photos, "--no-annotate") == 0
    assert (files("sorted"), files("output/annotated")) == before


def test_a_table_that_was_changed_is_not_written_over_by_resume(photos, label, capsys):
    assert label(photos) == 0
    table = Path("output/results.csv")
    table.write_text("my notes")
    assert label(photos, "--resume") == 2
    assert table.read_text() == "my notes" and "results.csv" in capsys.readouterr().err


def test_other_weights_do_not_go_on_with_a_run(photos, label, capsys):
    weights = Path("weights.pt")
    weights.write_text("one")
    assert label(photos, "--checkpoint", weights) == 0
    assert label(photos, "--checkpoint", weights, "--resume") == 0
    weights.write_text("another")
    assert label(photos, "--checkpoint", weights, "--resume") == 2
    assert "other weights" in capsys.readouterr().err


@pytest.mark.parametrize("worlds", [(1, 3), (3, 2), (2, 1)])
def test_each_picture_has_one_row_whatever_the_number_of_processes(tmp_path, worlds, face):
    """Parts as several processes leave them; the next run has another number of them."""
    from models.batch.ranks import Ranks
    from models.batch.sources import file_stamp, find_sources

    folder, output = tmp_path / "photos", tmp_path / "output"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number}.jpg").write_bytes(bytes(number + 1))
    this_run = run.Run(["photos"], {}, ["results.csv", "annotated"])

    def label_all(world: int) -> tuple[int, ...]:
        sources = find_sources([str(folder)])
        settled = earlier.settle(output, this_run, this_run, sources)
        done = 0
        for rank in range(world):
            with Journal(output / ".batch/parts", rank) as journal:
                for picture in Ranks(rank, world).share(sources.pictures):
                    if picture.name not in journal.done:
                        journal.append(Record(picture.name, "ok", stamp=file_stamp(picture.path)))
                        done += 1
        names = [record.file for record in journal.records([picture.name for picture in sources.pictures])]
        assert names == [picture.name for picture in sources.pictures]
        return done, settled.again, settled.left_out

    first, second = worlds
    assert label_all(first) == (30, 0, 0)
    for number in range(5):
        (folder / f"{number}.jpg").unlink()
        (folder / f"{number + 5}.jpg").write_bytes(bytes(99))
    (folder / "new.jpg").write_bytes(bytes(9))
    assert label_all(second) == (6, 5, 5)
    assert label_all(first) == (0, 0, 0)


class Killed(BaseException):
    pass


def killing(act, steps: list[int]):
    """The same function, which is killed instead when the steps, counted over all such functions, are used up."""

    def acting(*arguments, **options):
        if not steps[0]:
            raise Killed
        steps[0] -= 1
        return act(*arguments, **options)

    return acting


@pytest.mark.parametrize("step", range(9))
def test_killed_while_it_takes_away_the_next_run_does_the_rest(photos, label, face, monkeypatch, step):
    """Two pictures are gone, at a step of taking away what was written for them there is a kill, and they are back."""
    for name in ("c.jpg", "d.jpg"):
        face.save(photos / name)
    assert label(photos, *SORTED) == 0
    before = files("output"), files("sorted")
    for name in ("c.jpg", "d.jpg"):
        os.replace(photos / name, name)
    steps = [step]
    with monkeypatch.context() as patched:
        for module, name in ((os, "replace"), (os, "rename"), (Path, "unlink")):
            patched.setattr(module, name, killing(getattr(module, name), steps))
        with pytest.raises(Killed):
            label(photos, *SORTED, "--resume")
    for name in ("c.jpg", "d.jpg"):
        os.replace(name, photos / name)
    assert label(photos, *SORTED, "--resume") == 0
    assert files("output") == before[0]
    assert {name: data for name, data in files("sorted").items() if name[0] != "("} == before[1]


def test_halves_of_files_that_a_kill_left_are_swept(photos, label, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", stopped)
        assert label(photos, *SORTED) == 130
    halves = [f"output/annotated/.{'0' * 16}.part", f"sorted/happy/.{'a' * 24}.jpg.part"]
    for name in [*halves, "sorted/.mine.part"]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert label(photos, *SORTED, "--resume") == 0
    assert not any(Path(name).exists() for name in halves) and Path("sorted/.mine.part").exists()


def test_two_processes_of_torchrun_settle_once_and_each_does_its_share(many, label):
    assert label(many, "--output", "two") == 0
    for number in range(2, 12):
        replace_by_an_empty_one(many / f"{number}.png")
        (many / f"{number + 10}.png").unlink()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [*torchrun, "tests.batch", many, "--output", "two", "--detector", "haar", "--resume"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("10 done again") == result.stderr.count("10 left out") == 1
    assert label(many, "--output", "one") == 0
    assert files("two") == files("one")
    parts = [path.read_bytes().count(b"\n") for path in Path("two/.batch/parts").iterdir()]
    assert len(parts) == 2 and sum(parts) == 60

"""A set as Hugging Face serves it, in parquet files."""

import io
import json

import pytest

from preprocess import main
from tests.small_sets import ONE_EACH, WORDS, counts, lay, picture

pytestmark = pytest.mark.usefixtures("empty_folder")


def parquet(words_of_numbers: list[str] | None, labels: list, column: str = "label") -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    rows = [{"image": {"bytes": picture(word), "path": None}, column: label} for word, label in labels]
    table = pyarrow.Table.from_pylist(rows)
    if words_of_numbers:
        features = {column: {"names": words_of_numbers, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    encoded = io.BytesIO()
    write_table(table, encoded)
    return encoded.getvalue()


def test_parquet_goes_by_the_names_in_it_not_by_fer2013s_numbers():
    words = sorted(WORDS)  # by the alphabet, 4 is neutral
    files = {
        f"data/{split}-00000-of-00001.parquet": parquet(words, [(word, words.index(word)) for word in WORDS])
        for split in ("train", "validation", "test")
    }
    assert main([lay(files)]) == 0
    assert counts() == {"train": ONE_EACH, "val": ONE_EACH, "test": ONE_EACH}


def test_parquet_with_names_for_labels():
    assert main([lay({"train.parquet": parquet(None, [(word, word) for word in WORDS], "labels")})]) == 0
    assert counts() == {"train": ONE_EACH}


def test_parquet_with_bare_numbers_is_asked_about(capsys):
    source = lay({"train.parquet": parquet(None, [(word, number) for number, word in enumerate(WORDS)])})
    assert main([source]) == 2
    assert "--classes" in capsys.readouterr().err
    assert main([source, "--dataset", "fer2013"]) == 0
    assert counts() == {"train": ONE_EACH}


def test_parquet_numbers_from_one_go_by_the_names_that_a_person_gives():
    source = lay({"train.parquet": parquet(None, [(word, number) for number, word in enumerate(WORDS, 1)])})
    assert main([source, "--classes", *WORDS]) == 0
    assert counts() == {"train": ONE_EACH}


def test_parquet_in_a_folder_a_split_and_without_splits():
    files = {"default/train/0000.parquet": parquet(None, [(word, word) for word in WORDS])}
    assert main([lay(files | {"assets/example.png": picture("none")})]) == 0
    assert counts() == {"train": ONE_EACH}
    lay({"faces.parquet": parquet(None, [(word, word) for word in WORDS for _ in range(5)])}, "bare")
    assert main(["bare", "--overwrite"]) == 0
    assert {split: sum(found.values()) for split, found in counts().items()} == {"train": 28, "val": 7}


def test_parquet_without_its_package_names_it(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert main([lay({"train.parquet": b"PAR1"})]) == 2
    assert "pip install pyarrow" in capsys.readouterr().err

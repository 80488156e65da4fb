"""Pictures in, records out: faces of many pictures share a batch, and a weak answer is none."""

from tests.batch import face, files, label, many, photos, rows, stand_in  # noqa: F401 - fixtures

# ruff: noqa: F811 - fixtures are arguments


def test_faces_of_many_pictures_share_a_batch_and_records_keep_the_order(many, label, stand_in):
    assert label(many) == 0
    assert max(stand_in.batches) >= 32 and len(stand_in.batches) <= 3
    names = list(dict.fromkeys(row["file"] for row in rows()))
    assert names == [*(f"{number}.png" for number in range(2, 70)), "a.jpg", "b.png"]


def test_min_confidence_makes_a_weaker_answer_uncertain(photos, label):
    assert label(photos, "--min-confidence", "0.71", "--sort-into", "sorted") == 0
    assert (rows()[0]["expression"], rows()[0]["confidence"]) == ("uncertain", "0.7")
    assert "uncertain/a.jpg" in files("sorted")

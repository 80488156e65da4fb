"""Faces over time: which face of one analysis is which of the next, where it moves between, what it expresses.

    tracker = Tracker(class_names)
    tracker.follow(before, after)      # at each new frame
    tracker.update(analysis, frame)    # whenever a frame has been analyzed

`tracker.tracks` are then the faces in the picture, each with a number, a box, smooth probabilities and a steady label.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.live.sources import Frame

if TYPE_CHECKING:
    from models.faces import Detection
    from models.live.analysis import Analysis

SAME_FACE = 0.3  # intersection over union from which a detection continues a track
PATIENCE = 0.5  # seconds that a track outlives its last detection
HOLD = 0.25  # seconds that another expression has to lead before the label changes
BOX_GAIN = (
    0.5  # of the way from where a face was followed to where it is detected: the rest is the detector's trembling
)

# The points followed in a face: a 7×7 grid over its middle, where there is no background.
STEPS = np.linspace(0.2, 0.8, 7, dtype=np.float32)
GRID = np.stack(np.meshgrid(STEPS, STEPS), axis=-1).reshape(-1, 2)
WINDOW, LEVELS = (13, 13), 3  # optical flow finds shifts of up to about 50 pixels of the small frame
# A cut: of two hundred of one film's faces laid where another's was, at most 14 % of the points came back and patches
# correlated at most by 0.44; of 3,600 pairs of frames that followed one another at four a second or more, in films of
# people who talk, turn and cover their faces, at least 65 % came back.
FOLLOWED, SAME_PLACE = 0.25, 0.5
PATCH = 24  # pixels of a side in which two places are compared
FLAT = 2.0  # standard deviation of grey levels, below which there is nothing to be told apart
LARGEST_MISS = 2.0  # pixels that a point followed there and back may miss its start by


class Track:
    """One face over time.

    Attributes:
        number: From 1, in order of appearance.
        frame, detection: Where it was detected last.
        box: float32 `[4]`: x, y, width, height in pixels; moves on between detections.
        first_seen, last_seen: Seconds, of the first and the last detection.
        stood_until: Seconds; until then the frame of the last detection was in the picture.
        probabilities: float32 `[C]`, smoothed over time.
        label: The expression shown, which outlasts a short lead of another.
        label_is_new: Whether the last detection changed the label, or was the first.
    """

    def __init__(
        self,
        number: int,
        class_names: Sequence[str],
        frame: Frame,
        detection: "Detection",
        box: np.ndarray,
        probabilities: np.ndarray,
    ):
        self.number, self.frame, self.detection, self.box = number, frame, detection, box
        self.first_seen = self.stood_until = self._leads_since = frame.seconds
        self.probabilities = probabilities.copy()
        self._leader = int(probabilities.argmax())
        self._class_names = class_names
        self.label, self.label_is_new = class_names[self._leader], True

    @property
    def last_seen(self) -> float:
        return self.frame.seconds

    @property
    def confidence(self) -> float:
        """The label's smoothed probability."""
        return float(self.probabilities[self._class_names.index(self.label)])

    def see(
        self, frame: Frame, detection: "Detection", box: np.ndarray, probabilities: np.ndarray, smoothing: float
    ) -> None:
        """Takes in a new detection of the face, made in `frame`; `box` is where that is by now.

        Probabilities are averaged exponentially with `smoothing` seconds as time constant, so that they change as
        fast at five analyses a second as at twenty. The label changes when another has led for `HOLD` without a break.
        """
        pause = frame.seconds - self.last_seen
        gain = 1 - math.exp(-pause / smoothing) if smoothing else 1.0
        self.probabilities += np.float32(gain) * (probabilities - self.probabilities)
        leader = int(self.probabilities.argmax())
        if leader != self._leader:
            self._leader, self._leads_since = leader, frame.seconds
        has_led = max(frame.seconds - self._leads_since, pause)  # seldom looked at, it is not seen to lead for longer
        self.label_is_new = self._class_names[leader] != self.label and has_led >= HOLD
        if self.label_is_new:
            self.label = self._class_names[leader]
        self.box = self.box + (BOX_GAIN if pause < PATIENCE else 1.0) * (box - self.box)
        self.frame, self.detection, self.stood_until = frame, detection, frame.seconds


class Tracker:
    """The faces that are in the picture now.

    Attributes:
        tracks: Largest first.
        count: Tracks so far, those that have ended among them.
        seconds_of: Seconds that each label was shown, all faces together: each stands until the next analysis.
        seconds_seen: Seconds in which there was a face.
    """

    def __init__(self, class_names: Sequence[str], smoothing: float = 0.4, patience: float = PATIENCE):
        """Begins.

        Args:
            class_names: Expressions, in the order of the probabilities.
            smoothing: The probabilities' time constant in seconds; with 0 they are as the network gives them.
            patience: Seconds that a track outlives the frame of its last detection.
        """
        self.tracks: list[Track] = []
        self.count = 0
        self.seconds_of: dict[str, float] = defaultdict(float)
        self.seconds_seen = 0.0
        self._class_names, self._smoothing, self._patience = class_names, smoothing, patience
        self._shown: list[str] = []  # the labels of the last analysis, and when that was
        self._shown_since = 0.0

    def follow(self, before: Frame, after: Frame) -> bool:
        """Moves the boxes as the picture moved from one frame to another.

        Returns:
            Whether a track has ended, because in its place something else is to be seen: the new frame is to be
            analyzed then, since somebody may be there.
        """
        boxes, is_same = move_boxes(before, after, self._boxes())
        for track, box in zip(self.tracks, boxes):
            track.box = box
            if track.last_seen == before.seconds:
                track.stood_until = after.seconds
        self.tracks = [track for track, stays in zip(self.tracks, is_same) if stays]
        return not is_same.all()

    def update(self, analysis: "Analysis", frame: Frame) -> list[Track]:
        """Takes in what was found in this frame, or in an earlier one: its boxes are then moved to this one first.

        Returns:
            The tracks of the faces found, largest first.
        """
        seconds, detections, probabilities = analysis.frame.seconds, analysis.detections, analysis.probabilities
        boxes = np.array([detection.box for detection in detections], np.float32).reshape(-1, 4)
        boxes, is_same = move_boxes(analysis.frame, frame, boxes)
        detections = [detection for detection, stays in zip(detections, is_same) if stays]
        boxes, probabilities = boxes[is_same], probabilities[is_same]
        pairs = match_boxes(self._boxes(), boxes)
        for index, found in pairs:
            track = self.tracks[index]
            track.see(analysis.frame, detections[found], boxes[found], probabilities[found], self._smoothing)
        for found in sorted(set(range(len(boxes))) - {found for _, found in pairs}):
            self.count += 1
            seen = analysis.frame, detections[found], boxes[found], probabilities[found]
            self.tracks.append(Track(self.count, self._class_names, *seen))
        # What was seen once and then not again was hardly a face: no track outlives its last detection by more than
        # it has lasted.
        self.tracks = [
            track
            for track in self.tracks
            if seconds - track.stood_until <= min(self._patience, track.stood_until - track.first_seen)
        ]
        self.tracks.sort(key=lambda track: -track.box[2] * track.box[3])
        refreshed = [track for track in self.tracks if track.last_seen == seconds]
        self.count_until(seconds)
        self._shown = [track.label for track in refreshed]
        return refreshed

    def count_until(self, seconds: float) -> None:
        """Counts what was shown last as shown until now: called at the end, and where a camera vanishes."""
        lasted = max(seconds - self._shown_since, 0.0)
        for label in self._shown:
            self.seconds_of[label] += lasted
        self.seconds_seen += lasted if self._shown else 0.0
        self._shown, self._shown_since = [], seconds

    def _boxes(self) -> np.ndarray:
        return np.array([track.box for track in self.tracks], np.float32).reshape(-1, 4)


def match_boxes(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    """Pairs boxes `[N, 4]` with boxes `[M, 4]`, the best overlap first, until none overlaps by `SAME_FACE`."""
    overlaps = overlap(first, second)
    pairs = []
    while overlaps.size and overlaps.max() >= SAME_FACE:
        row, column = divmod(int(overlaps.argmax()), overlaps.shape[1])
        pairs.append((row, column))
        overlaps[row], overlaps[:, column] = 0, 0
    return pairs


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union, `[N, M]`, of boxes `[N, 4]` and `[M, 4]` given as x, y, width, height."""
    shared = shared_area(first, second)
    return shared / np.maximum(first[:, 2:].prod(-1)[:, None] + second[:, 2:].prod(-1) - shared, 1e-6)


def shared_area(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pixels that boxes `[N, 4]` and `[M, 4]` share: `[N, M]`."""
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], second[:, :2] + second[:, 2:])
    return np.maximum(high - low, 0).prod(-1)


def move_boxes(before: Frame, after: Frame, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where boxes of one frame are in another: the median flow tracker (Kalal, Mikolajczyk and Matas, 2010).

    A grid of points in each box is followed by optical flow, there and back; of those that come back to where they
    started, the median shift and the median growth move the box. A box with too few of them stays where it is, and
    where it does not look as before either, the film has cut to something else.

    Args:
        before, after: The frames.
        boxes: float32 `[N, 4]`: x, y, width, height in pixels.

    Returns:
        Boxes `[N, 4]`, and bool `[N]`, whether each still has in it what it had.
    """
    is_same = np.ones(len(boxes), bool)
    if before is after or not len(boxes):
        return boxes, is_same
    scale = before.small_scale
    starts = (boxes[:, None, :2] + GRID * boxes[:, None, 2:]) * scale
    ends, found = _flow(before.small, after.small, starts)
    back, found_back = _flow(after.small, before.small, ends)
    good = found & found_back & (np.linalg.norm(back - starts, axis=-1) < LARGEST_MISS)
    is_followed = good.mean(1) >= FOLLOWED
    moved = boxes.copy()
    for index, box in enumerate(boxes):
        if is_followed[index]:
            moved[index] = _moved(box, starts[index] / scale, ends[index] / scale, good[index])
        else:
            is_same[index] = resemblance(before, after, box) >= SAME_PLACE
    return moved, is_same


def resemblance(before: Frame, after: Frame, box: np.ndarray) -> float:
    """How much the place of a box `[4]` looks alike in two frames, light and contrast apart: correlation, -1 to 1."""
    patches = []
    for frame in (before, after):
        (x, y), (width, height) = box[:2] * frame.small_scale, box[2:] * frame.small_scale
        matrix = np.array([[width / PATCH, 0, x + width / PATCH / 2], [0, height / PATCH, y + height / PATCH / 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        patch = cv2.warpAffine(frame.small, matrix, (PATCH, PATCH), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        patches.append(patch.astype(np.float32) - patch.mean())
    one, other = patches
    if max(one.std(), other.std()) < FLAT:
        return 1.0
    return float((one * other).sum() / max(math.sqrt((one * one).sum() * (other * other).sum()), 1e-6))


def _flow(before: np.ndarray, after: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points `[N, P, 2]` of one grey picture are in another, and which were found, bool `[N, P]`."""
    ends, found, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        points.reshape(-1, 1, 2),
        None,
        winSize=WINDOW,
        maxLevel=LEVELS,  # type: ignore[call-overload]
    )
    return ends.reshape(points.shape), found.reshape(points.shape[:2]).astype(bool)


def _moved(box: np.ndarray, starts: np.ndarray, ends: np.ndarray, good: np.ndarray) -> np.ndarray:
    """A box `[4]` after its points have gone from `starts` to `ends`, both `[P, 2]`, as far as they are `good`."""
    starts, ends = starts[good], ends[good]
    spread_before, spread_after = (np.linalg.norm(points - points.mean(0), axis=1) for points in (starts, ends))
    growth = np.clip(np.median(spread_after / np.maximum(spread_before, 1e-3)), 0.9, 1.1)
    centre, size = box[:2] + box[2:] / 2 + np.median(ends - starts, axis=0), box[2:] * growth
    return np.concatenate([centre - size / 2, size]).astype(np.float32)

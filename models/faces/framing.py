"""From a face that was found to the crop that the network sees: FER2013's framing, upright.

crop = face_crop(picture, detection)        # RGB uint8, 240 pixels a side at most
"""

import cv2
import numpy as np

from models.faces.detection import Detection

LARGEST_CROP = 240
MOST_WARPED = 8000  # pixels a side of what is handed to OpenCV
# Where eyes, nose and mouth's corners lie in FER2013's pictures: x and y from the middle, as parts of the side.
FER2013_LANDMARKS = np.array([[-0.19, -0.11], [0.19, -0.11], [0.0, 0.10], [-0.15, 0.28], [0.15, 0.28]])


def frame_box(detection: Detection) -> tuple[float, float, float, float]:
    """The square of the face in FER2013's framing, not turned: x, y, side, side in picture pixels.

    It may reach over the picture's edge.
    """
    centre, axis = placement(detection)
    side = abs(axis)
    return centre.real - side / 2, centre.imag - side / 2, side, side


def box_within(box: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    """The box in whole pixels, cut at the picture's edges."""
    x, y, box_width, box_height = box
    left, top = max(round(x), 0), max(round(y), 0)
    return left, top, min(round(x + box_width), width) - left, min(round(y + box_height), height) - top


def face_crop(picture: np.ndarray, detection: Detection) -> np.ndarray:
    """Cuts a face out as FER2013 frames it, turned upright; what lies beyond the picture's edge repeats the edge.

    Args:
        picture: RGB uint8 `[H, W, 3]`, the one the detection was made in.

    Returns:
        uint8 `[S, S, 3]`, S the face's own size in pixels, 240 at most.
    """
    centre, axis = placement(detection)
    size = min(max(1, round(abs(axis))), 4 * LARGEST_CROP)
    crop = cut_square(picture, centre, axis, size)
    if size > LARGEST_CROP:
        crop = cv2.resize(crop, (LARGEST_CROP, LARGEST_CROP), interpolation=cv2.INTER_AREA)
    return crop


def cut_square(picture: np.ndarray, centre: complex, axis: complex, size: int) -> np.ndarray:
    """Cuts a square out, turned upright; what lies beyond the picture's edge repeats the edge.

    Args:
        picture: RGB uint8 `[H, W, 3]`.
        centre: The square's middle, x + iy in pixels.
        axis: Its upper edge from left to right.
        size: Pixels of a side of what is returned. Pixel (u, v) of it shows the picture at
            centre + axis * ((u, v) + (0.5, 0.5) - (size, size) / 2) / size.

    Returns:
        uint8 `[size, size, 3]`.
    """
    # Only the surroundings are handed on, shrunk if need be: OpenCV warps no picture of more than 32767 pixels a side.
    reach = abs(axis)
    height, width = picture.shape[:2]
    left, top = (int(np.clip(low - reach, 0, end - 1)) for low, end in ((centre.real, width), (centre.imag, height)))
    right, bottom = (int(np.ceil(high + reach)) for high in (centre.real, centre.imag))
    around = picture[top : max(bottom, top + 1), left : max(right, left + 1)]

    if max(around.shape[:2]) > MOST_WARPED:
        shrink = MOST_WARPED / max(around.shape[:2])
        sides = [max(1, round(length * shrink)) for length in around.shape[1::-1]]
        scale = sides[0] / around.shape[1]
        around = cv2.resize(around, sides, interpolation=cv2.INTER_AREA)
        return cut_square(around, (centre - complex(left, top)) * scale, axis * scale, size)

    # OpenCV's coordinates count from pixels' middles.
    step = axis / size
    start = centre - complex(left, top) - step * complex(size - 1, size - 1) / 2 - complex(0.5, 0.5)
    matrix = np.array([[step.real, -step.imag, start.real], [step.imag, step.real, start.imag]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(around, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def placement(detection: Detection) -> tuple[complex, complex]:
    """FER2013's square around a face: its middle, and its upper edge from left to right, as complex x + iy.

    With landmarks it is the similarity that brings FER2013's closest to them by least squares (Umeyama, 1991).
    """
    if detection.landmarks is None:
        x, y, width, height = detection.box
        centre, axis = complex(x + width / 2, y + height / 2), height * 1j ** (detection.turn // 90)
    else:
        template, found = FER2013_LANDMARKS @ (1, 1j), detection.landmarks @ (1, 1j)
        from_middle = template - template.mean()
        axis = complex(np.vdot(from_middle, found) / np.vdot(from_middle, from_middle))
        centre = found.mean() - axis * template.mean()
    return centre, axis * detection.framing

"""What the proposal network should answer for a scene, and how much each part of the answer counts.

heat, heat_weight, values, value_weight = targets(scene)
"""

import numpy as np

from models.faces.finders.rpn import STRIDE
from models.faces.training.scenes import Scene


def targets(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the network should answer.

    Returns:
        heat: float32 `[h, w]`, a Gaussian hill of height 1 about each face's middle, a cell each 4 pixels.
        heat_weight: float32 `[h, w]`, 0 where nothing is asked.
        values: float32 `[13, h, w]`: log of the size in cells, six points from the cell's middle, in sizes.
        value_weight: float32 `[h, w]`, how much each cell's values count.
    """
    rows, columns = (length // STRIDE for length in scene.picture.shape[:2])
    heat, heat_weight = np.zeros((rows, columns), np.float32), np.ones((rows, columns), np.float32)
    values, value_weight = np.zeros((13, rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    for face in sorted(scene.faces, key=lambda face: face[-1]):
        (x, y, size), points, asked = face[:3], face[3:15].reshape(6, 2), face[-1]
        reach = size / STRIDE * (0.3 if asked else 0.5) + 1
        column, row = x / STRIDE - 0.5, y / STRIDE - 0.5
        left, right = max(0, int(column - reach)), min(columns, int(np.ceil(column + reach)) + 1)
        top, bottom = max(0, int(row - reach)), min(rows, int(np.ceil(row + reach)) + 1)
        if left >= right or top >= bottom:
            continue
        place = np.s_[top:bottom, left:right]
        if not asked:
            heat_weight[place] = 0
            continue
        across, down = np.arange(left, right), np.arange(top, bottom)[:, None]
        sigma = max(0.6, 0.08 * size / STRIDE)
        # The cell nearest to the middle is at the hill's top, wherever in it the middle lies; a large face's is flat.
        near_column = np.clip(round(column), left, right - 1)
        near_row = np.clip(round(row), top, bottom - 1)
        distance = np.hypot(across - near_column, down - near_row)
        distance = np.maximum(distance - 0.03 * size / STRIDE, 0)
        hill = np.exp(-(distance**2) / (2 * sigma**2)).astype(np.float32)
        heat_weight[place][hill > 0.1] = 1
        heat[place] = np.maximum(heat[place], hill)
        own = hill > np.maximum(value_weight[place], 0.2)
        cells = np.stack(np.broadcast_arrays((across + 0.5) * STRIDE, (down + 0.5) * STRIDE))
        towards = (points[:, :, None, None] - cells) / size
        values[0][place][own] = np.log(size / STRIDE)
        values[1:, top:bottom, left:right][:, own] = towards.reshape(12, *hill.shape)[:, own]
        value_weight[place][own] = hill[own]
    return heat, heat_weight, values, value_weight

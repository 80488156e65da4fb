"""Small ICC profiles, and the same colours computed without a colour management system.

Image.fromarray(values).save("a.jpg", icc_profile=rgb_profile(DISPLAY_P3, gamma=2.2))
expected = to_srgb(values, DISPLAY_P3, gamma=2.2)  # float64 [..., 3], 0 to 255
"""

import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)  # the white that profiles are relative to
# XYZ of red, green and blue as columns, brought to D50: of Apple's Display P3, Adobe RGB (1998) and sRGB profiles.
DISPLAY_P3 = ((0.51512, 0.29198, 0.15710), (0.24120, 0.69225, 0.06657), (-0.00105, 0.04189, 0.78407))
ADOBE_RGB = ((0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457))
SRGB = ((0.43607, 0.38515, 0.14307), (0.22249, 0.71687, 0.06061), (0.01392, 0.09708, 0.71410))


def rgb_profile(matrix: tuple, gamma: float) -> bytes:
    """A version 2 display profile of three primaries and a gamma."""
    columns = {f"{name}XYZ": _xyz([row[index] for row in matrix]) for index, name in enumerate("rgb")}
    return _profile(b"RGB ", {**columns, **{f"{name}TRC": _curve([gamma * 256]) for name in "rgb"}})


def srgb_profile() -> bytes:
    """sRGB by its own curve, as a table."""
    table = np.rint(_to_linear(np.linspace(0, 1, 1024)) * 65535)
    columns = {f"{name}XYZ": _xyz([row[index] for row in SRGB]) for index, name in enumerate("rgb")}
    return _profile(b"RGB ", {**columns, **{f"{name}TRC": _curve(table) for name in "rgb"}})


def grey_profile(gamma: float) -> bytes:
    return _profile(b"GRAY", {"kTRC": _curve([gamma * 256])})


def cmyk_profile() -> bytes:
    """Each of the four inks takes the same from lightness, and all of them make black; there is no hue."""
    inks = np.stack(np.meshgrid(*[(0, 1)] * 4, indexing="ij"), -1).reshape(-1, 4)
    lab = np.stack([255 * (1 - inks.mean(1)), *[np.full(len(inks), 128)] * 2], 1)
    straight = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + _numbers((1, 0, 0, 0, 1, 0, 0, 0, 1))
    table += straight * 4 + np.rint(lab).astype(np.uint8).tobytes() + straight * 3
    return _profile(b"CMYK", {"A2B0": table}, connection=b"Lab ")


def cmyk_to_srgb(values: np.ndarray) -> np.ndarray:
    """sRGB grey, 0 to 255, of inks 0 to 255 `[..., 4]` as `cmyk_profile` has them."""
    lightness = 100 * (1 - values.mean(-1) / 255)
    linear = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    return 255 * _from_linear(linear)


def to_srgb(values: np.ndarray, matrix: tuple, gamma: float) -> np.ndarray:
    """sRGB, 0 to 255, of values 0 to 255 `[..., 3]`: linear light, times the matrices, sRGB's curve."""
    linear = (values / 255.0) ** gamma @ np.array(matrix).T @ np.linalg.inv(SRGB).T
    return 255 * _from_linear(linear.clip(0, 1))


def grey_to_srgb(values: np.ndarray, gamma: float) -> np.ndarray:
    return 255 * _from_linear((values / 255.0) ** gamma)


def _to_linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _from_linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


def _profile(colours: bytes, tags: dict[str, bytes], connection: bytes = b"XYZ ") -> bytes:
    tags = {"desc": _description(b"of a test"), "wtpt": _xyz(D50), "cprt": b"text\0\0\0\0none\0", **tags}
    table, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name.encode(), 132 + 12 * len(tags) + len(content), len(tag))
        content += tag + b"\0" * (-len(tag) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", 132 + 12 * len(tags) + len(content), b"", 0x02400000, b"mntr", colours, connection
    )
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp").ljust(44, b"\0") + _numbers(D50)
    return header.ljust(128, b"\0") + table + content


def _xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + _numbers(values)


def _numbers(values) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _curve(values) -> bytes:
    """One value is a gamma in 256ths, more are a table."""
    return b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *(round(value) for value in values))


def _description(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)

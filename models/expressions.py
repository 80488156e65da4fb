"""The seven expressions: their names, in the order of FER2013's labels, and a colour for each.

>>> from models.expressions import CLASS_NAMES
>>> CLASS_NAMES[3]
'Happy'
"""

from __future__ import annotations  # for Pythons that are told they are too old, see models/packages.py

Colour = tuple[int, int, int]  # RGB

CLASS_NAMES = ("Angry", "Disgusted", "Fearful", "Happy", "Sad", "Surprised", "Neutral")
# What other sets call them, in lower case.
SYNONYMS = {
    "Angry": ("anger",),
    "Disgusted": ("disgust",),
    "Fearful": ("fear", "afraid"),
    "Happy": ("happiness", "joy"),
    "Sad": ("sadness",),
    "Surprised": ("surprise", "suprise", "suprised"),  # as some copies spell it
    "Neutral": (),
}
# Labels that some sets have besides, and what pictures are left out as.
OTHER_LABELS = {
    "contempt": "contempt", "contemptuous": "contempt", "unknown": "unknown", "uncertain": "uncertain",
    "none": "none of the expressions", "non-face": "not a face", "noface": "not a face", "nf": "not a face",
}  # fmt: skip
EXPRESSIONS = {word: name for name, words in SYNONYMS.items() for word in (name.lower(), *words)}
UNCERTAIN = "uncertain"  # stands for an expression that is less probable than was asked for

# The hues are those of Okabe and Ito (2008), told apart by colour-blind people as well.
CLASS_COLOURS: dict[str, Colour] = {
    "Angry": (213, 94, 0),
    "Disgusted": (0, 158, 115),
    "Fearful": (204, 121, 167),
    "Happy": (240, 180, 0),
    "Sad": (0, 114, 178),
    "Surprised": (86, 180, 233),
    "Neutral": (140, 140, 140),
}
UNCERTAIN_COLOUR = (110, 110, 110)
# For classes of one's own: Tol's scheme "muted" (2021), made for colour-blind people too, and none of the seven above.
OWN_COLOURS: tuple[Colour, ...] = (
    (51, 34, 136),
    (136, 204, 238),
    (17, 119, 51),
    (221, 204, 119),
    (204, 102, 119),
    (68, 170, 153),
    (136, 34, 85),
    (153, 153, 51),
    (170, 68, 153),
)
DARKER = 0.6  # each further round through OWN_COLOURS, as a share of the last one's brightness


def expression_of(word: str) -> str | None:
    """The one of `CLASS_NAMES` that a word of another set means, else what of `OTHER_LABELS` it is, else None."""
    word = word.strip().lower()
    return EXPRESSIONS.get(word) or OTHER_LABELS.get(word)


def class_colour(name: str, index: int = 0) -> Colour:
    """RGB colour of a class; one that is not of the seven takes the colour of its place among the class names."""
    if name in CLASS_COLOURS or name == UNCERTAIN:
        return CLASS_COLOURS.get(name, UNCERTAIN_COLOUR)
    rounds, place = divmod(index, len(OWN_COLOURS))
    red, green, blue = (round(value * DARKER**rounds) for value in OWN_COLOURS[place])
    return red, green, blue


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever has more contrast with an RGB colour (WCAG 2.2): at least 4.5 to 1."""
    red, green, blue = ((value / 255) ** 2.2 for value in colour)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)

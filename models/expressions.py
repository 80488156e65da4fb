"""The seven expressions: their names, in the order of FER2013's labels, and a colour for each.

    >>> from models.expressions import CLASS_NAMES
    >>> CLASS_NAMES[3]
    'Happy'
"""

CLASS_NAMES = ("Angry", "Disgusted", "Fearful", "Happy", "Sad", "Surprised", "Neutral")

# RGB. The hues are those of Okabe and Ito (2008), told apart by colour-blind people as well.
CLASS_COLOURS = {
    "Angry": (213, 94, 0),
    "Disgusted": (0, 158, 115),
    "Fearful": (204, 121, 167),
    "Happy": (240, 180, 0),
    "Sad": (0, 114, 178),
    "Surprised": (86, 180, 233),
    "Neutral": (140, 140, 140),
}


def class_colour(name: str, index: int = 0) -> tuple[int, int, int]:
    """RGB colour of a class; a class that is not one of the seven takes the colour of its place in the list."""
    colours = list(CLASS_COLOURS.values())
    return CLASS_COLOURS.get(name, colours[index % len(colours)])

"""Who is in a picture, by its file's name, and how people are kept apart.

    >>> groups = find_groups(["S005_001_00000011.png", "S011_001_00000008.png"])
    >>> groups
    ['S005', 'S011']
    >>> folds = assign_folds(groups, np.array([0, 0]), count=2, seed=0)   # int64 [N], from 1 to 2

Were pictures of one person spread over training and test, the network would be asked what it has learned by heart.
"""

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from models.errors import DatasetError

# The names of sets whose people are known, each told by its groups, joined. Matched against a name's beginning.
PERSON_PATTERNS = {
    "CK+": r"(?i)(S\d{3})_\d{3}_\d{8}",  # S005_001_00000011.png: frame 11 of take 1 of person S005
    "JAFFE": r"(?i)([A-Z]{2})\.(?:AN|DI|FE|HA|SA|SU|NE)\d\.\d",  # KA.AN1.39.tiff
    "KDEF": r"(?i)(?:A|B)([FM]\d{2})(?:AF|AN|DI|HA|NE|SA|SU)(?:S|HL|HR|FL|FR)",  # AF01ANS.JPG: session A, person F01
    "RaFD": r"(?i)(Rafd)\d{3}_(\d{2})_",  # Rafd090_01_Caucasian_female_angry_frontal.jpg: camera 90, model 01
}
OTHER_PATTERN = "([^_]+)_"  # any other set's, and what preprocess.py writes: the person, _, the number
FEW_PEOPLE, MANY_PICTURES = 10, 30  # fewer people with more pictures each are hardly people
MOST_NAMED = 5


def find_pattern(names: Sequence[str]) -> str:
    """The pattern of the set that all file names are of, or `OTHER_PATTERN`."""
    for pattern in PERSON_PATTERNS.values():
        if all(re.match(pattern, name) for name in names):
            return pattern
    return OTHER_PATTERN


def find_groups(names: Sequence[str], pattern: str | None = None) -> list[str]:
    """Who is in each picture.

    Args:
        names: File names.
        pattern: A regular expression whose groups, joined, name the person; matched against a name's beginning. By
            default the one of the set that the names are of, see `find_pattern`.

    Raises:
        DatasetError: The pattern is no regular expression with a group, or a name does not match it.
    """
    pattern = pattern or find_pattern(names)
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"--group-pattern {pattern} is no regular expression: {error}") from error
    if not expression.groups:
        raise DatasetError(f"--group-pattern {pattern} has no group: put what names the person in parentheses")
    groups = []
    for name in names:
        match = expression.match(name)
        person = "".join(part or "" for part in match.groups()) if match else ""
        if not person:
            raise DatasetError(
                f"the name {name} does not say who is in the picture, by the pattern {pattern}: give one that fits as "
                "--group-pattern; '(.+)' takes each picture for another person's, right only where that is so"
            )
        groups.append(person)
    return groups


def describe_groups(groups: Sequence[str]) -> str:
    """How many pictures there are of how many people, and who they are."""
    people = sorted(set(groups))
    more = ", …" if len(people) > MOST_NAMED else ""
    return f"{len(groups)} pictures of {len(people)} people: {', '.join(people[:MOST_NAMED])}{more}"


def doubt_groups(groups: Sequence[str], targets: Sequence[int] = ()) -> str | None:
    """Why these groups can hardly be people, or None.

    Args:
        targets: The class of each picture, if known.
    """
    people = Counter(groups)
    if _are_classes(groups, targets):
        return "they are the classes: --group-pattern says what in a name tells the person"
    if len(people) == len(groups):
        return (
            "each picture counts as another person's: where people have several, they are in training and test alike, "
            "and the figures flatter; --group-pattern says what in a name tells the person"
        )
    if len(people) < FEW_PEOPLE and len(groups) > MANY_PICTURES * len(people):
        return (
            f"{len(people)} people with {len(groups) // len(people)} pictures each, on average: is it a camera or a "
            "session that the names are divided by? --group-pattern says what in a name tells the person"
        )
    return None


def choose_val(groups: Sequence[str], targets: np.ndarray, share: float) -> np.ndarray:
    """Which pictures become val, so that nobody is in val and train, and train has all classes.

    Args:
        groups: Who is in each picture.
        targets: int `[N]`, their classes.
        share: From 0 to 0.5; what comes out is as near to it as whole people allow.

    Returns:
        bool `[N]`, the same for the same pictures.

    Raises:
        DatasetError: There are too few people, or the groups are the classes.
    """
    if not share:
        return np.zeros(len(groups), bool)
    if len(set(groups)) == 1:
        raise DatasetError(f"all pictures are of {groups[0]}, by their names: --group-pattern says who is in them")
    if _are_classes(groups, targets.tolist()):
        raise DatasetError(
            f"the names tell the classes ({', '.join(sorted(set(groups))[:MOST_NAMED])}), not people: --group-pattern "
            "says who is in a picture; '(.+)' takes each for another person's"
        )
    people = np.array(groups)
    of_class = [people[targets == label] for label in np.unique(targets)]
    free = ~np.isin(people, [who[0] for who in of_class if len(set(who)) == 1])  # the others alone show a class
    chosen = np.zeros(len(groups), bool)
    if len(set(people[free])) > 1:
        wanted = Fraction(share).limit_denominator(20)
        parts, taken = wanted.denominator, wanted.numerator
        if parts > len(set(people[free])):
            parts = len(set(people[free]))
            taken = max(1, round(share * parts))
        chosen[free] = assign_folds(people[free].tolist(), targets[free], parts, seed=0) <= taken
    for who in of_class:  # of which only val would have pictures
        if set(who) <= set(people[chosen]):
            chosen &= ~np.isin(people, who)
    if not chosen.any():
        raise DatasetError("there are too few people for a val of its own: each class needs pictures of two or more")
    return chosen


def _are_classes(groups: Sequence[str], targets: Sequence[int]) -> bool:
    """Whether each group is one class, and each class one group."""
    return len(set(zip(groups, targets))) == len(set(groups)) == len(set(targets)) > 1


def assign_folds(groups: Sequence[str], targets: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Puts each group whole into one of `count` folds, so that classes and pictures are spread as evenly as may be.

    Greedy: the groups are taken one by one, those first that hold the largest shares of a class; each goes where
    the sum, over folds and classes, of the squared shares grows least. Every class counts the same, however
    rare, and so does the number of pictures in all.

    Args:
        groups: The group of each picture.
        targets: int `[N]`, the class of each picture.

    Returns:
        int64 `[N]`, the fold of each picture, from 1 to `count`; no fold is empty.

    Raises:
        DatasetError: There are fewer groups than folds.
    """
    names, group_of = np.unique(np.array(groups), return_inverse=True)
    if len(names) < count:
        raise DatasetError(
            f"{count} folds need {count} people or more, and the file names tell of {len(names)}: "
            "take fewer --folds, or see --group-pattern"
        )
    pictures = np.zeros((len(names), targets.max() + 1))
    np.add.at(pictures, (group_of, targets), 1)
    shares = np.column_stack([pictures, pictures.sum(1)])
    shares /= np.maximum(shares.sum(0), 1)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-(shares[order] ** 2).sum(1).round(9), kind="stable")]
    loads = np.zeros((count, shares.shape[1]))
    fold_of = np.empty(len(names), np.int64)
    for group in order:
        # (load + share)² - load² differs between folds in 2·load·share alone. Rounded, so that a tie is one anywhere.
        fold_of[group] = (loads @ shares[group]).round(9).argmin()
        loads[fold_of[group]] += shares[group]
    return fold_of[group_of] + 1

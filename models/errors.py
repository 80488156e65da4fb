"""The errors that are a person's to mend."""


class UserError(ValueError):
    """Wrong use or something missing: the message is a sentence that names the remedy, and a script ends with 2."""


class DatasetError(UserError):
    """A data set is missing, empty, unreadable or not what it seems; the message names the remedy."""

"""The one kind of error that is a person's to mend."""


class UserError(ValueError):
    """Wrong use or something missing: the message is a sentence that names the remedy, and a script ends with 2."""

"""torch.compile, which needs a compiler that not every machine has.

>>> with compiling():
...     logits = compiled(pictures)
"""

from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import UserError

COMPILE_MODES = ("off", "default", "reduce-overhead")  # the latter two torch.compile's


class CompileError(UserError):
    """torch.compile does not work on this machine; the message names the remedy."""


@contextmanager
def compiling() -> Iterator[None]:
    """Turns what torch.compile says, at the first step of each direction, into a sentence."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        reason = str(error).strip().split("\n")[0]
        raise CompileError(f"torch.compile does not work here ({reason}): leave out --compile") from error

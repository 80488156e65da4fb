"""The time of a film, from what its container says of each frame.

clock = Clock(step=1 / 25, may_leap=False)
seconds = clock.read(said)
"""

from fractions import Fraction

# Seconds by which the times of a broadcast go on or back where recordings were joined; smaller faults are evened out.
LEAP, LEAP_BACK = 10.0, 0.5


class Clock:
    """Makes times that only rise of what a film says: a missing one is guessed, and a leap is taken out.

    Attributes:
        last: Seconds, of the last frame; None before the first.
        jumps, first_jump: How many times it leapt, and when first.
    """

    def __init__(self, step: float, may_leap: bool):
        """Begins.

        Args:
            step: The usual time from frame to frame, in seconds.
            may_leap: A long pause is a leap: broadcasts, joined from several, have some.
        """
        self._step, self._may_leap = Fraction(step).limit_denominator(90000), may_leap
        self._shift = Fraction(0)
        self.last: Fraction | None = None
        self.jumps, self.first_jump = 0, 0.0

    def read(self, said: Fraction | None) -> Fraction:
        """The time of the next frame, of which a film says this."""
        if self.last is None:
            self.last = said or Fraction(0)
            return self.last
        expected = self.last + self._step
        seconds = expected if said is None else said + self._shift
        if seconds < self.last - LEAP_BACK or (self._may_leap and seconds > self.last + LEAP):
            if not self.jumps:
                self.first_jump = float(self.last)
            self.jumps += 1
            self._shift += expected - seconds
            seconds = expected
        elif seconds <= self.last:
            seconds = self.last + self._step / 100
        self.last = seconds
        return seconds

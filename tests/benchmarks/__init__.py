"""Figures. What they are of is set up as in the scripts: `models` is imported before torch, see models/threads.py."""

import models  # noqa: F401

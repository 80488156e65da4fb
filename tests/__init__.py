"""Tests and figures run as the scripts do: `models` is imported before torch, see models/threads.py."""

import models  # noqa: F401

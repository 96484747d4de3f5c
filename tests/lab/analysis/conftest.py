"""Properties are tried on 50 examples, however busy the machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("analysis", max_examples=50, deadline=None)
settings.load_profile("analysis")

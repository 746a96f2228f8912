"""What holds for all tests: none is judged by a clock, since machines are busy at times."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("casebase", deadline=None)
settings.load_profile("casebase")

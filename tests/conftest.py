"""Makes the modules beside this file importable from every test, and says how properties are explored."""

from __future__ import annotations

import os

from hypothesis import settings

# A gate has to give the same answer for the same code; at a desk every run may look elsewhere.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("desk", deadline=None)
settings.load_profile("gate" if os.environ.get("CI") else "desk")

"""Prints the OpenAPI document; `python tests/support/openapi.py > docs/openapi.json` commits a change."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.control import MemoryControl, as_control

from iocmng.api import Access, TokenStore, create_app
from iocmng.api.openapi import describe


def document() -> dict[str, Any]:
    """The document of the present routes."""
    with tempfile.TemporaryDirectory() as state_dir:
        app = create_app(as_control(MemoryControl()), Access(TokenStore(Path(state_dir))))
        return describe(app)


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
    sys.stdout.write("\n")

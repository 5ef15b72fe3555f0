"""`python tests/churn`: the churn from the command line, with what the tests import on its path."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
importlib.import_module("churn.program").main()

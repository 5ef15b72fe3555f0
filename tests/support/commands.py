"""Commands typed in the test's own process, which costs a tenth of a program's start."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from iocmng_cli.main import app


@dataclass(frozen=True)
class Done:
    """What a command printed and returned."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def typed(*arguments: str, env: Mapping[str, str]) -> Done:
    """Run a command with this environment and no other, without a terminal."""
    foreign = dict.fromkeys(os.environ.keys() - env.keys())
    result = CliRunner().invoke(app, arguments, env={**foreign, **env}, prog_name="iocmng")
    return Done(result.exit_code, result.stdout, result.stderr)

"""The pytest plugin: `run_task` and `make_job` as fixtures that end what they started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from iocmng.testing.kit import JobUnderTest, TaskUnderTest


@pytest.fixture
def run_task() -> Iterator[Callable[..., TaskUnderTest]]:
    """`iocmng.testing.run_task`; what it ran is stopped after the test."""
    from iocmng.testing import kit

    with ExitStack() as stack:

        def run(*arguments: Any, **options: Any) -> TaskUnderTest:
            return stack.enter_context(kit.run_task(*arguments, **options))

        yield run


@pytest.fixture
def make_job() -> Iterator[Callable[..., JobUnderTest]]:
    """`iocmng.testing.make_job`; what it made is stopped after the test."""
    from iocmng.testing import kit

    with ExitStack() as stack:

        def make(*arguments: Any, **options: Any) -> JobUnderTest:
            return stack.enter_context(kit.make_job(*arguments, **options))

        yield make

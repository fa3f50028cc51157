"""A short version of the long run in tests/benchmarks/soak.py."""

from __future__ import annotations

import pytest

from tests.benchmarks import soak


@pytest.mark.wine("slow changes of files under many threads")
def test_under_constant_rotation_nothing_is_lost() -> None:
    """Threads, a key that changes all the time in files and in a vault that fails at times: every answer is a 200.

    The server accepts the last two keys. A busy machine must send a request again within a rotation.
    """
    figures = soak.run(total=400, threads=8, interval=0.25, patience=20)
    assert figures.outcomes.keys() == {"200"}
    assert figures.wrong == 0
    assert figures.retries > 0

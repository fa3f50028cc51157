"""The public surface."""

import requests_bearer_env


def test_what_is_exported_is_sorted_and_there() -> None:
    """``__all__`` is sorted, and each name in it exists."""
    assert requests_bearer_env.__all__ == sorted(requests_bearer_env.__all__)
    assert all(hasattr(requests_bearer_env, name) for name in requests_bearer_env.__all__)

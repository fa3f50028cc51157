"""Makes pytest explain the assertions that gevent and eventlet have in common."""

import pytest

pytest.register_assert_rewrite("tests.environments.greenlets")

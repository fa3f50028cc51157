"""Makes pytest explain the assertions that clients have in common."""

import pytest

pytest.register_assert_rewrite("tests.clients.contract")

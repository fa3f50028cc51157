"""What importing the package brings along."""

from __future__ import annotations

import subprocess
import sys


def test_importing_it_loads_nothing_that_a_request_does_not_need() -> None:
    """Neither the command line nor the demo nor what only they, or a provider's program, need."""
    code = (
        "import requests, sys; before = set(sys.modules); import requests_bearer_env; print(*set(sys.modules) - before)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    ours = {name for name in loaded if name.startswith("requests_bearer_env")}
    assert not {f"requests_bearer_env.{name}" for name in ("__main__", "demo", "doctor", "httpie")} & ours
    assert not {"argparse", "subprocess", "trustme", "http.server", "unicodedata"} & set(loaded)

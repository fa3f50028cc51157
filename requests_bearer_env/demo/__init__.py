"""The demo: requests_bearer_env at work against a stand-in for text-generation-webui on this machine.

`run` sends requests to it step by step, and shows the code of each step and what came of it.
`serve` keeps it up, and prints commands to try. Both need the extra ``demo``, which is trustme.

``app`` answers as text-generation-webui does, ``server`` is the HTTP server around it.
"""

from .serving import serve
from .steps import DemoError, run

__all__ = ["DemoError", "run", "serve"]

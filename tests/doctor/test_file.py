"""The line about the file with the key."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from requests_bearer_env import BearerEnvAuth, platforms
from requests_bearer_env.doctor import Check, diagnose, file
from requests_bearer_env.doctor.file import check_file
from tests.helpers import KEY

DAY = 86400

#: What precedes the age of a file that only its owner can use; Windows has no modes.
MODE_0600 = "" if os.name == "nt" else "mode 0600, "

ROTATE = "rotate the key: have a new one issued, store it there, and have the old one revoked"
MOUNT_ALL = "mount the whole volume or directory (in Kubernetes: without subPath) instead of the file"
RECREATE = f"create the container anew (docker compose up --force-recreate); for the next rotation, {MOUNT_ALL}"
KUBERNETES = "in the pod's specification, set defaultMode: 0440 for the volume, and fsGroup in securityContext"
OWNER_AND_GROUP = "have its owner, or root, make it readable by its owner and its group only: chmod 640 {path}"
RUN_AS = "run the check as the user of the service, or give that user permission to read the file"

KeyFile = Callable[..., Path]


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyFile:
    """Return a function that writes a file with the key: ``key_file(mode=0o640, days=100)``."""
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text("")
    monkeypatch.setattr(file, "_MOUNTINFO", str(mountinfo))

    def write(name: str = "key", *, mode: int = 0o600, days: float = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(KEY)
        path.chmod(mode)
        changed = time.time() - days * DAY
        os.utime(path, (changed, changed))
        return path

    return write


@pytest.fixture
def other_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process seem to run as a user without a name, who is not root and owns no files."""
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999)
    monkeypatch.setattr(os, "getegid", lambda: 3_999_999)
    monkeypatch.setattr(os, "getgroups", list)


def line_about(path: Path, max_age: float = 90, *, readable: bool = True) -> Check:
    """Return the line about a file."""
    line = check_file(str(path), max_age, readable=readable)
    assert line is not None
    return line


# Modes


@pytest.mark.posix("modes of files")
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_file_of_its_owner_is_ok(mode: int, key_file: KeyFile) -> None:
    """Only the owner can read the key."""
    path = key_file(mode=mode)
    assert line_about(path) == ("file", "ok", f"{path}: mode {mode:04o}, unchanged for 0 s", "")


@pytest.mark.posix("modes of files")
@pytest.mark.parametrize(
    ("bit", "who"),
    [(0o40, "its group"), (0o20, "its group"), (0o10, "its group")] + [(bit, "every user") for bit in (4, 2, 1)],
)
def test_file_that_others_may_use_warns(bit: int, who: str, key_file: KeyFile) -> None:
    """Every right of the group or of others warns."""
    path = key_file(mode=0o600 | bit)
    detail = f"{path}: mode {0o600 | bit:04o}, open to {who}, unchanged for 0 s"
    assert line_about(path) == ("file", "warn", detail, f"make it readable by its owner only: chmod 600 {path}")


@pytest.mark.posix("modes of files")
@pytest.mark.parametrize(
    ("mode", "group", "who", "remedy"),
    [
        (0o640, True, "", ""),
        (0o440, True, "", ""),
        (0o660, True, ", open to its group", OWNER_AND_GROUP),
        (0o644, True, ", open to every user", OWNER_AND_GROUP),
        (
            0o644,
            False,
            ", open to every user",
            (
                "have root make the program's user its owner, and close it to others: "
                "chown 3999999 {path} && chmod 600 {path}"
            ),
        ),
    ],
)
def test_remedy_leaves_the_file_readable(
    mode: int, group: bool, who: str, remedy: str, key_file: KeyFile, other_user: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that reads the key as a member of the file's group must still be able to."""
    path = key_file(mode=mode)
    if group:
        monkeypatch.setattr(os, "getgroups", lambda: [path.stat().st_gid])
    detail = f"{path}: mode {mode:04o}{who}, unchanged for 0 s"
    assert line_about(path) == ("file", "warn" if remedy else "ok", detail, remedy.format(path=path))


@pytest.mark.posix("modes of files")
def test_path_is_quoted_for_the_shell(key_file: KeyFile) -> None:
    """The remedy can be pasted into a shell."""
    path = key_file("my key", mode=0o644)
    assert line_about(path).remedy == f"make it readable by its owner only: chmod 600 '{path}'"


@pytest.mark.parametrize("place", ["/run/secrets/", "/var/run/secrets/", "/run/credentials/"])
def test_places_of_secrets_are_known(place: str) -> None:
    """Docker, Kubernetes and systemd mount secrets there."""
    assert f"{place}key".startswith(file._MOUNTED)


@pytest.mark.posix("modes of files")
@pytest.mark.parametrize("mode", [0o444, 0o440, 0o644])
def test_mounted_secret_may_be_readable(mode: int, key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's configuration decides who reads its secrets, so only their age is checked."""
    path = key_file(mode=mode, days=1)
    monkeypatch.setattr(file, "_MOUNTED", (f"{path.parent}/",))
    detail = f"{path}: mode {mode:04o}, as mounted secrets have, unchanged for 24 hours"
    assert line_about(path) == ("file", "ok", detail, "")
    assert line_about(path, 0.5) == ("file", "warn", detail, ROTATE)


@pytest.mark.posix("symbolic links")
def test_volume_of_kubernetes_is_known(key_file: KeyFile, tmp_path: Path) -> None:
    """The files of a secret volume are links to ``..data``, a link to a dated directory, wherever it is mounted."""
    key_file("..2026_05_01_12_00_00.1234567/key", mode=0o644)
    (tmp_path / "..data").symlink_to("..2026_05_01_12_00_00.1234567")
    (tmp_path / "tgw").symlink_to("..data/key")
    path = tmp_path / "tgw"
    assert line_about(path) == ("file", "ok", f"{path}: mode 0644, as mounted secrets have, unchanged for 0 s", "")


@pytest.mark.posix("modes of files")
def test_credential_of_systemd_is_known(key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """LoadCredential= makes files of mode 0440."""
    path = key_file("credentials/tgw", mode=0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    detail = f"{path}: mode 0440 in systemd's directory of credentials, unchanged for 0 s"
    assert line_about(path) == ("file", "ok", detail, "")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent)[:-1])
    assert line_about(path).status == "warn"


@pytest.mark.posix("modes of files")
def test_file_on_a_read_only_mount_is_ok(key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mode cannot be changed there, so a warning would be useless."""
    path = key_file(mode=0o644)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert line_about(path) == ("file", "ok", f"{path}: mode 0644 on a read-only mount, unchanged for 0 s", "")


@pytest.mark.posix("symbolic links")
def test_link_out_of_a_mount_is_followed(key_file: KeyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory of the file itself decides, not that of a link to it."""
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "key").symlink_to(key_file(mode=0o644))
    monkeypatch.setattr(file, "_MOUNTED", (f"{mount}/",))
    assert line_about(mount / "key").status == "warn"


def test_windows_has_no_modes(key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python invents the modes of files on Windows, so only the age is checked."""
    path = key_file(mode=0o666, days=8)
    monkeypatch.setattr(platforms, "WINDOWS", True)
    assert line_about(path) == ("file", "ok", f"{path}: unchanged for 8 days", "")
    assert line_about(path, 7) == ("file", "warn", f"{path}: unchanged for 8 days", ROTATE)


# Age


@pytest.mark.parametrize(("days", "status"), [(89.9, "ok"), (90.1, "warn")])
def test_old_key_warns(days: float, status: str, key_file: KeyFile) -> None:
    """A file that is unchanged for 90 days holds a key that should be rotated."""
    path = key_file(days=days)
    detail = f"{path}: {MODE_0600}unchanged for {int(days)} days"
    assert line_about(path) == ("file", status, detail, ROTATE * (status == "warn"))


def test_file_of_the_future_is_new(key_file: KeyFile) -> None:
    """An age is never negative, even after the clock was set back."""
    path = key_file(days=-3)
    assert line_about(path) == ("file", "ok", f"{path}: {MODE_0600}unchanged for 0 s", "")


@pytest.mark.posix("modes of files")
def test_two_faults_have_two_remedies(key_file: KeyFile) -> None:
    """The line about an old file that every user may read names both remedies."""
    path = key_file(mode=0o644, days=100)
    assert line_about(path).remedy == f"make it readable by its owner only: chmod 600 {path}; {ROTATE}"


# Mounts of a single file


DELETED = "it is mounted as a single file whose source has been replaced, so a rotated key never arrives here"
SUBPATH = "it is mounted with Kubernetes' subPath, so a rotated key never arrives here"


@pytest.mark.posix("mounts")
@pytest.mark.parametrize(
    ("root", "words"),
    [
        ("/..2026_05_01_12_00_00.1234567/key//deleted", DELETED),
        ("/home/user/key//deleted", DELETED),
        ("/..2026_05_01_12_00_00.1234567/key", SUBPATH),
        ("/var/lib/kubelet/pods/1/volume-subpaths/tgw/main/0", SUBPATH),
        ("/home/user/key", ""),
    ],
)
def test_mount_that_is_never_updated_warns(root: str, words: str, key_file: KeyFile) -> None:
    """A bind mount of one file keeps the file that existed when the container started."""
    path = key_file("my key", mode=0o600)
    escaped = str(path).replace(" ", "\\040")
    Path(file._MOUNTINFO).write_bytes(b"20 1 0:19 / /mnt/\xff rw - ext4 /dev/sdb rw\n")  # a path has any bytes
    with Path(file._MOUNTINFO).open("a", encoding="utf-8") as mountinfo:
        mountinfo.write(
            "21 1 0:20 / / rw - ext4 /dev/sda rw\n"
            f"34 21 0:30 /..2026_01_01_00_00_00.1/old {escaped} rw - tmpfs tmpfs rw\n"
            f"35 21 0:31 {root} {escaped} rw,relatime shared:1 - tmpfs tmpfs rw\n"
            "four fields and broken\n"
        )
    detail = f"{path}: mode 0600, unchanged for 0 s" + (f"; {words}" if words else "")
    remedy = {DELETED: RECREATE, SUBPATH: MOUNT_ALL, "": ""}[words]
    assert line_about(path) == ("file", "warn" if words else "ok", detail, remedy)


@pytest.mark.posix("mounts")
def test_mode_of_a_replaced_file_needs_no_change(key_file: KeyFile) -> None:
    """The remedy is about the mount alone, because the container's file is to go."""
    path = key_file(mode=0o644, days=100)
    Path(file._MOUNTINFO).write_text(f"35 21 0:31 /home/user/key//deleted {path} rw - tmpfs tmpfs rw\n")
    detail = f"{path}: mode 0644, open to every user, unchanged for 100 days; {DELETED}"
    assert line_about(path) == ("file", "warn", detail, f"{RECREATE}; {ROTATE}")


@pytest.mark.posix("mounts")
def test_mode_of_a_kubernetes_mount_is_the_pods(key_file: KeyFile, other_user: None) -> None:
    """Nothing in the container can change it."""
    path = key_file(mode=0o644)
    Path(file._MOUNTINFO).write_text(f"35 21 0:31 /volume-subpaths/tgw/main/0 {path} rw - tmpfs tmpfs rw\n")
    detail = f"{path}: mode 0644, open to every user, unchanged for 0 s; {SUBPATH}"
    assert line_about(path) == ("file", "warn", detail, f"{MOUNT_ALL}; {KUBERNETES}")


def test_system_without_mountinfo_says_nothing(key_file: KeyFile) -> None:
    """Only Linux says what a file is mounted from."""
    path = key_file()
    os.unlink(file._MOUNTINFO)
    assert line_about(path).status == "ok"


# What cannot be read


@pytest.mark.parametrize("name", ["missing", "nul\0"])
def test_missing_file_has_no_line(name: str, tmp_path: Path) -> None:
    """The line about the key says that the file is missing."""
    assert check_file(str(tmp_path / name), 90, readable=True) is None


def test_directory_has_no_line(tmp_path: Path) -> None:
    """Only a regular file has readers and an age."""
    assert check_file(str(tmp_path), 90, readable=False) is None


@pytest.mark.posix("users with numbers")
def test_unreadable_file_names_its_owner(key_file: KeyFile, other_user: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usually the check, or the service, runs as another user."""
    path = key_file()
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr("pwd.getpwuid", owner_names(path.stat().st_uid))
    detail = f"{path} belongs to user keeper with mode 0600, and this process runs as user 3999999"
    assert line_about(path, readable=False) == ("file", "fail", detail, RUN_AS)


@pytest.mark.posix("symbolic links")
def test_unreadable_pod_file_has_its_remedy(
    key_file: KeyFile, other_user: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume with defaultMode: 0400 is root's alone, unless fsGroup gives it to a group of the container's user."""
    key_file("..2026_05_01_12_00_00.1234567/key", mode=0o400)
    (tmp_path / "..data").symlink_to("..2026_05_01_12_00_00.1234567")
    (tmp_path / "tgw").symlink_to("..data/key")
    monkeypatch.setattr(os, "access", lambda *_: False)
    check = line_about(tmp_path / "tgw", readable=False)
    assert (check.status, check.remedy) == ("fail", f"{RUN_AS}: {KUBERNETES}")


@pytest.mark.posix("modes of files")
def test_readable_file_without_a_key_is_checked(key_file: KeyFile) -> None:
    """A file that holds no valid key may be readable for every user."""
    path = key_file(mode=0o644)
    assert line_about(path, readable=False).status == "warn"


@pytest.mark.posix("users with numbers")
def test_closed_directory_names_its_owner(
    key_file: KeyFile, other_user: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first directory of the path that this process may not enter is named."""
    path = key_file("secrets/inner/key")
    closed = tmp_path / "secrets"
    closed.chmod(0o700)
    close_to_stat(path, monkeypatch)
    monkeypatch.setattr(os, "access", lambda name, mode: mode == os.X_OK and not name.startswith(str(closed)))
    monkeypatch.setattr("pwd.getpwuid", owner_names(closed.stat().st_uid))
    detail = (
        f"{path}: the directory {closed} belongs to user keeper with mode 0700, and this process runs as user 3999999"
    )
    assert line_about(path, readable=False) == ("file", "fail", detail, RUN_AS)
    monkeypatch.setattr(os, "access", lambda *_: True)
    assert check_file(str(path), 90, readable=False) is None
    monkeypatch.setattr(platforms, "WINDOWS", True)
    assert check_file(str(path), 90, readable=False) is None


@pytest.mark.posix("paths with slashes")
def test_directories_begin_with_the_root() -> None:
    """The directories that contain a file are listed from the root on, without the file."""
    assert list(file._directories("/srv/app/key")) == ["/", "/srv", "/srv/app"]


@pytest.mark.posix("users with numbers")
@pytest.mark.parametrize(("user", "owner"), [(0, True), (5, True), (1, False)])
def test_root_counts_as_the_owner(user: int, owner: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may change the mode of any file."""
    status: Any = SimpleNamespace(st_uid=5)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert file._is_owner(status) is owner


def close_to_stat(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to look up a file, as the system does if this process may not enter a directory on the way."""
    real_stat = os.stat

    def stat(name: Any, **options: Any) -> os.stat_result:
        if name == str(path):
            raise PermissionError
        return real_stat(name, **options)

    monkeypatch.setattr(os, "stat", stat)


def owner_names(number: int) -> Callable[[int], SimpleNamespace]:
    """Return a lookup of users that knows one of them."""

    def look_up(user: int) -> SimpleNamespace:
        return {number: SimpleNamespace(pw_name="keeper")}[user]

    return look_up


# A variable in the path


@pytest.mark.posix("modes of files")
@pytest.mark.parametrize("given", ["$WHERE/key", "~/$WHERE/key", "$(touch x)/key"])
def test_value_of_a_variable_is_not_shown(given: str, key_file: KeyFile) -> None:
    """The path may hold a secret, so it is shown as it was given; no command has it, which a shell would execute."""
    check = check_file(str(key_file(mode=0o644)), 90, given=given, readable=True)
    assert check == (
        "file",
        "warn",
        f"{given}: mode 0644, open to every user, unchanged for 0 s",
        "make it readable by its owner only: chmod 600 FILE",
    )


@pytest.mark.posix("users with numbers")
def test_directory_in_a_variable_is_not_shown(
    key_file: KeyFile, other_user: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory's name may be the value of the variable."""
    path = key_file("secrets/key")
    (tmp_path / "secrets").chmod(0o700)
    close_to_stat(path, monkeypatch)
    monkeypatch.setattr(os, "access", lambda name, _: not name.endswith("secrets"))
    check = check_file(str(path), 90, given="$WHERE/key", readable=False)
    assert check is not None
    assert check.detail.startswith("$WHERE/key: a directory on the way belongs to user ")
    assert "secrets" not in repr(check)


def test_diagnose_shows_the_path_as_given(key_file: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line has the value of the variable, whether the file is named by the auth or by a variable."""
    path = key_file(days=91)
    monkeypatch.setenv("WHERE", str(path.parent))
    monkeypatch.setenv("TGW_API_KEY_FILE", "$WHERE/key")
    for auth in (BearerEnvAuth(file="$WHERE/key"), BearerEnvAuth("TGW_API_KEY")):
        checks = {check.name: check for check in diagnose(auth)}
        assert checks["file"].detail.startswith(f"$WHERE/key: {MODE_0600}unchanged for 91 days")
        assert str(path.parent) not in repr(checks)
    path.write_bytes(b"\xff")
    checks = {check.name: check for check in diagnose(BearerEnvAuth(file="$WHERE/key"))}
    assert checks["file"].detail.startswith("$WHERE/key: ")

"""Gives root's powers away and then becomes another program: PostgreSQL refuses to run as uid 0.

    python -I -S unprivileged.py namespace|account UID GID FOLDER PROGRAM [ARGUMENT…]

namespace   A new user namespace in which our uid 0 is called UID. For the kernel nothing changes hands: files stay
            root's, and no other local user can signal, trace or read the process.
account     Become UID:GID for good. FOLDER belongs to that account or to root, but only root may enter it, so one
            capability is kept to get there: reading past permissions if we may give it, else writing past them too
            (containers are often started with the second only).

Exits with REFUSED, and a reason on standard error, when the machine does not allow it or FOLDER and PROGRAM would be
out of reach. Standard library only; it is run as a file, without the package or site-packages. Linux only.
"""

import contextlib
import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import NoReturn

REFUSED = 113
"""Exit status: this way does not work here; another may."""

_CLONE_NEWUSER = 0x10000000
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP = 28, 1 << 2
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySets(ctypes.Structure):
    """The low 32 capabilities, then the high 32 (unused here)."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
        ("effective_high", ctypes.c_uint32),
        ("permitted_high", ctypes.c_uint32),
        ("inheritable_high", ctypes.c_uint32),
    )


def enter_namespace(uid: int, gid: int) -> None:
    """Call ourselves `uid`:`gid` in a user namespace of our own. Raises OSError where namespaces are refused."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {outer_uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outer_gid} 1", encoding="ascii")


def become_account(uid: int, gid: int) -> None:
    """Become `uid`:`gid` for good, with one capability that survives exec. Raises OSError if we may not."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    held = _CapabilitySets()
    _check(libc.capget(ctypes.byref(header), ctypes.byref(held)), "capget")
    reading = bool(held.permitted & (1 << _CAP_DAC_READ_SEARCH))
    capability = _CAP_DAC_READ_SEARCH if reading else _CAP_DAC_OVERRIDE
    _prctl(libc, _PR_SET_KEEPCAPS, 1)
    with contextlib.suppress(OSError):  # we may lack CAP_SETPCAP; `_reach` finds out what that means here
        # PostgreSQL asks access(2) about its own programs, and for whoever is not root access(2) forgets capabilities,
        # unless this bit is set: then a folder that only root may enter, such as root's home, would be out of reach.
        _prctl(libc, _PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    mask = 1 << capability
    kept = _CapabilitySets(effective=mask, permitted=mask, inheritable=mask)
    _check(libc.capset(ctypes.byref(header), ctypes.byref(kept)), "capset")
    _prctl(libc, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def _prctl(libc: ctypes.CDLL, option: int, *values: int) -> None:
    words = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    _check(libc.prctl(ctypes.c_int(option), *words), "prctl")


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _reach(path: str) -> None:
    """Open `path` to see that the new identity gets there."""
    os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))


def main(arguments: list[str]) -> NoReturn:
    """Become PROGRAM, or exit with REFUSED."""
    way, uid, gid, folder, program = arguments[:5]
    try:
        change = {"namespace": enter_namespace, "account": become_account}[way]
        change(int(uid), int(gid))
        _reach(folder)
        _reach(program)
        if not os.access(program, os.R_OK | os.X_OK):  # it will ask the same of itself and its neighbours
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), program)
    except OSError as error:
        sys.stderr.write(f"{way}: {error}\n")
        raise SystemExit(REFUSED) from error
    os.execv(program, arguments[4:])  # noqa: S606 - replacing this process is the point


if __name__ == "__main__":
    main(sys.argv[1:])

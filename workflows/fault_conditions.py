"""What a process sets for itself before a command runs in it: no privileges, another clock. For `faults.py`."""

from __future__ import annotations

import ctypes
import sys
from datetime import datetime, timedelta, tzinfo
from typing import Any


def without_privileges() -> None:
    """From now on the modes of files hold for this process too, and for programs that it starts.

    Linux: capset and PR_CAPBSET_DROP without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):
        if libc.prctl(24, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, data):
        raise OSError(ctypes.get_errno(), "capget")
    for place in (0, 1, 2):  # effective, permitted, inheritable
        data[place] &= ~0b110
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


def shift_clock(by: timedelta | None) -> None:
    """Have every module of the program see another time; None: each look is an hour before the one before."""
    looks = 0

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            nonlocal looks
            looks += 1
            return datetime.now(tz) + (timedelta(hours=-looks) if by is None else by)

    for name, module in list(sys.modules.items()):
        if name.startswith("facecluster") and getattr(module, "datetime", None) is datetime:
            setattr(module, "datetime", Shifted)  # noqa: B010

"""The exceptions. Every error that the user can correct is a FaceclusterError with one line: expected, found, what to do next.

FaceclusterError
├── InputError     an input can't be used: no photos, a missing folder, an option out of bounds
│   ├── WriteError    a file outside the store can't be written: no space, no permission
│   └── ArgumentError an argument of a Python function: a wrong type, shape or value; also a ValueError and a TypeError
├── PhotoError     one photo can't be used; becomes the `error` of its row and never stops a run
├── StoreError     the store is missing, not a store, in use, or damaged
│   └── StampError a shard was made with other settings than the requested ones
├── ModelError     a model file is missing, damaged, or has the wrong format
└── EngineError    the workers can't be used: a worker died, a cluster is gone, a worker has no facecluster
"""

from __future__ import annotations

import errno
import shlex

_REFUSED = (  # what a system says that can't or may not do what it is asked
    "EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EIO", "EMFILE", "ENFILE", "ENODEV", "ENXIO", "ESTALE", "EBUSY", "ETIMEDOUT",
    "EHOSTDOWN",
)  # fmt: skip

_ELSEWHERE = (  # packages that read files of other machines, and have exceptions of their own
    "adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "fsspec", "gcsfs", "google", "requests", "s3fs", "urllib3",
)  # fmt: skip
AT_ANOTHER_TIME = "Check the disk or the connection, and your access, and run it again"


class FaceclusterError(Exception):
    """An error that the user can correct; its text is one line."""


class InputError(FaceclusterError):
    """An input can't be used."""


class WriteError(InputError):
    """A file outside the store can't be written, because the system refuses it."""


class ArgumentError(InputError, ValueError, TypeError):
    """An argument of a Python function can't be used: its type, shape or value is wrong."""


class PhotoError(FaceclusterError):
    """One photo can't be used."""


class StoreError(FaceclusterError):
    """The store can't be used."""


class StampError(StoreError):
    """A shard was made with other settings than the requested ones."""


class ModelError(FaceclusterError):
    """A model can't be used."""


class EngineError(FaceclusterError):
    """The worker processes or machines can't be used."""


def is_refusal(error: OSError) -> bool:
    """Whether the system can't or may not do what it is asked, which a user can correct; else it is a bug."""
    return errno.errorcode.get(error.errno or 0) in _REFUSED or lacks_temporary_folder(error)


def may_pass(error: BaseException) -> bool:
    """Whether an error says that a place can't be reached or read now, and nothing of what is there: a disk, a bucket, a network."""
    if isinstance(error, OSError) and (is_refusal(error) or isinstance(error, PermissionError | ConnectionError | TimeoutError)):
        return True
    return any(kind.__module__.split(".")[0] in _ELSEWHERE for kind in type(error).__mro__)


def lacks_temporary_folder(error: OSError) -> bool:
    """Whether no folder for temporary files can be written: all are read-only or full."""
    return isinstance(error, FileNotFoundError) and "No usable temporary directory" in str(error)


def shell(word: str) -> str:
    """A path or another word of a command that is shown to the user: quoted if a shell would take it apart."""
    word = "".join(c if c.isprintable() else "?" for c in word)
    if shlex.quote(word) == word:
        return word
    return shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'

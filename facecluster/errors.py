"""The exception tree. Whatever the user can put right is a FaceclusterError with one line: expected, found, what to do next.

FaceclusterError
├── InputError     what was given can't be used: no photos, a missing folder, an option out of bounds
│   └── ArgumentError an argument of a Python function: a wrong type, shape or value; also a ValueError and a TypeError
├── PhotoError     one photo can't be used; becomes the `error` of its row, never stops a run
├── StoreError     the store is missing, not a store, in use, or damaged
│   └── StampError a shard was made with other settings than those asked for
├── ModelError     a model file is missing, damaged, or not of the stated form
└── EngineError    the machines at work can't be used: a worker died, a cluster is gone, a worker has no facecluster
"""

from __future__ import annotations


class FaceclusterError(Exception):
    """Something the user can put right; its text is one line."""


class InputError(FaceclusterError):
    """What was given can't be used."""


class ArgumentError(InputError, ValueError, TypeError):
    """An argument of a Python function can't be used: its type, shape or value is wrong."""


class PhotoError(FaceclusterError):
    """One photo can't be used."""


class StoreError(FaceclusterError):
    """The store can't be used."""


class StampError(StoreError):
    """A shard was made with other settings than those asked for."""


class ModelError(FaceclusterError):
    """A model can't be used."""


class EngineError(FaceclusterError):
    """The processes or machines at work can't be used."""

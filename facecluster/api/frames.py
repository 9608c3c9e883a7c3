"""Arrow tables as pandas frames, where pandas is installed."""

from __future__ import annotations

import importlib.util
from typing import Any

import pyarrow as pa

from facecluster.errors import InputError


def to_pandas(table: pa.Table) -> Any:
    """A pandas.DataFrame with the columns of a table.

    Raises:
        InputError: pandas is not installed.
    """
    if importlib.util.find_spec("pandas") is None:
        raise InputError("expected the package pandas, found none: install it with 'pip install pandas', or use the Arrow table as it is")
    return table.to_pandas(use_threads=False)

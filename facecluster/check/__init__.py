"""Whether a store is as it was written, and what to do where it is not."""

from facecluster.check.check_store import Checked, check, is_store
from facecluster.check.findings import Finding

__all__ = ["Checked", "Finding", "check", "is_store"]

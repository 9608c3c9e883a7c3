"""Stores that get old: today's format for those of earlier versions, and fewer files for those that grew by little and often."""

from facecluster.upkeep.compact import Compacted, compact
from facecluster.upkeep.upgrade import Upgraded, upgrade

__all__ = ["Compacted", "Upgraded", "compact", "upgrade"]

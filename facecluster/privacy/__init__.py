"""Forgetting: people, photos and faces leave a store, and do not come back.

targets      what the user's words mean
forget_plan  what goes; written down before anything is changed
make_plan    works it out
places       every place of a store, and what frees it: runs, tables, files, decisions
forget       all of these, in order, and the receipt
"""

from facecluster.privacy.forget import forget, is_stopped, preview

__all__ = ["forget", "is_stopped", "preview"]

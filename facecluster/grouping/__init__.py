"""Grouping: the neighbour graph (STAGE link), people from it (STAGE identify), and how sure they are."""

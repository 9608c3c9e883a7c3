"""Matching: new faces against the people of a store."""

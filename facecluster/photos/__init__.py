"""Photos: find files, know what is new, open any of them upright and in the right colours."""

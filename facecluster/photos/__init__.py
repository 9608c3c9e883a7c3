"""Photos: find files, plan the new ones, open any photo upright and in the right colours."""

"""`python -m facecluster`: the command, where its script is not on the path."""

from facecluster.cli import main

if __name__ == "__main__":
    main()

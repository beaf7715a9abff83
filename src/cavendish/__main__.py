"""`python -m cavendish`: the same program as `cavendish`."""

from cavendish.cli import main

if __name__ == "__main__":
    main()

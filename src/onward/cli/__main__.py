"""`python -m onward.cli`."""

from onward.cli import main

if __name__ == "__main__":
    main()

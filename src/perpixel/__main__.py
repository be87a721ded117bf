"""python -m perpixel: the command line."""

from perpixel.cli import main

if __name__ == "__main__":
    main()

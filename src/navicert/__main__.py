"""`python -m navicert`: the command line, as `navicert`."""

from navicert.cli import main

if __name__ == "__main__":
    main()

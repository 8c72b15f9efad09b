"""`python -m remora` is the command `remora`."""

import sys

from remora.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""How every command of the package starts and ends."""

import sys
from collections.abc import Callable


def run_and_exit(main: Callable[[], int]) -> None:
    """Run a command and exit with its code; what stdout can't encode, such as "±" in ASCII, becomes "?"."""
    sys.stdout.reconfigure(errors="replace")  # stderr prints escapes by itself
    sys.exit(main())

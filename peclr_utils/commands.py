"""How every command of the package starts and ends."""

import sys
from collections.abc import Callable


def run_and_exit(main: Callable[[], int]) -> None:
    """Run a command and exit with its code; what stdout's encoding lacks, such as "±" in ASCII, becomes "?".

    On stderr Python prints it as an escape by itself; on stdout that would break the columns of tables.
    """
    sys.stdout.reconfigure(errors="replace")
    sys.exit(main())

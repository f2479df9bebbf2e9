"""Check packed crops in full: every byte that is read, against its checksum.

    python -m peclr_utils.crops FOLDER

Chapter 03 trains from such a folder.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from peclr_utils.crops.crop_set import CropSet

PROGRAM = "python -m peclr_utils.crops"


def main(argv: Sequence[str] | None = None) -> int:
    """Check the folders named; say what each is, or what is wrong with it.

    Returns:
        1 if any is damaged or no crop set, 0 otherwise.
    """
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Check every byte of packed crops.")
    parser.add_argument("folder", type=Path, nargs="+", help="a folder that crops.pack made")
    fine = True
    for folder in parser.parse_args(argv).folder:
        try:
            crops = CropSet(folder, verify=True)
        except (FileNotFoundError, ValueError) as error:
            print(error, file=sys.stderr)
            fine = False
        else:
            stored = sum(file.stat().st_size for file in folder.iterdir())
            print(
                f"{folder}: whole; {len(crops):,} crops of {crops.size} px from {crops.source}, "
                f"{'with' if crops.masks is not None else 'without'} masks, {stored / 1e6:,.1f} MB"
            )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())

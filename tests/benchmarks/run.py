"""Run the benchmarks, print their table and write it to `RESULTS.md`.

    python tests/benchmarks/run.py                      all of them, 12 minutes on two idle cores
    python tests/benchmarks/run.py render_hands         some of them; what was measured before stays

Each runs in a process of its own: its memory is measured from the same beginning, and one that fails costs no
other. `results.json` keeps the numbers, with the machine and the versions that they were taken with.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from harness import Row, table

HERE = Path(__file__).resolve().parent
BENCHMARKS = (
    "augment_pairs",
    "training_step",
    "compile_network",
    "compare_pairs",
    "load_crops",
    "evaluate_keypoints",
    "open_freihand",
    "label_memory",
    "grad_cache",
    "render_hands",
    "import_time",
)
PACKAGES = ("torch", "numpy", "opencv-python", "scipy", "kornia", "lightly")
ABOUT = """\
# Benchmarks

`make bench` measures these anew, `make bench ARGS="{example}"` some of them. Ratios are medians over repeated
pairs, ours and the other in turn. "One core" is processor time of one thread. What a row says lies in the
script of its name, in this folder.
"""


def main(argv: Sequence[str] | None = None, folder: Path = HERE, names: Sequence[str] = BENCHMARKS) -> int:
    """Run benchmarks as the command line says.

    Args:
        argv: names of benchmarks; none for all.
        folder: where the scripts are and the results go.
        names: of all benchmarks, in the table's order.

    Returns:
        How many failed.
    """
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names)}")
    chosen = parser.parse_args(argv).names or names
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    file, here, failed = folder / "results.json", environment(), []
    kept = json.loads(file.read_text()) if file.is_file() else []
    for number, name in enumerate(chosen, start=1):
        print(f"{number}/{len(chosen)} {name} ...", end=" ", flush=True)
        start = time.perf_counter()
        rows = run(folder / f"{name}.py")
        took = time.perf_counter() - start
        print("failed" if rows is None else f"{took:.0f} s", flush=True)
        if rows is None:
            failed.append(name)
            continue
        kept = [old for old in kept if (old["name"], old["machine"]) != (name, here["machine"])]
        kept.append({"name": name, **here, "seconds": round(took), "rows": rows})
        # After each: so a stop in between loses only the one that runs.
        file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        (folder / "RESULTS.md").write_text(report(kept, names))
    measured = [name for name in names if name in chosen and name not in failed]
    results = [result for result in kept if result["machine"] == here["machine"]]
    print("\n" + table(rows_of(results, measured)))
    return len(failed)


def run(script: Path) -> list[dict[str, Any]] | None:
    """Run one benchmark in its own process; its rows, or None if it failed, which it then says itself."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        command = [sys.executable, str(script), "--json", str(rows)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode == 0:
            return json.loads(rows.read_text())
    print(f"\n{done.stdout}\n{script.name} ended with exit code {done.returncode}")
    return None


def environment() -> dict[str, str]:
    """Machine, versions and date of a measurement."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {package}")
    return {
        "machine": f"{os.cpu_count()} cores of {_processor()}{gpu}, {platform.system()}",
        "versions": ", ".join(found),
        "date": datetime.date.today().isoformat(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.is_file() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def rows_of(results: Sequence[dict[str, Any]], names: Sequence[str]) -> list[Row]:
    """All rows of some results, in the table's order."""
    by_name = {result["name"]: result["rows"] for result in results}
    return [Row(**row) for name in names for row in by_name.get(name, ())]


def report(results: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """The page: one table for each machine, and what else its numbers depend on."""
    parts = [ABOUT.format(example=names[0])]
    for machine in dict.fromkeys(result["machine"] for result in results):
        there = [result for result in results if result["machine"] == machine]
        parts.append(f"## {machine}\n\n{table(rows_of(there, names))}\n")
        for date, versions in dict.fromkeys((result["date"], result["versions"]) for result in there):
            same = [r for r in there if (r["date"], r["versions"]) == (date, versions)]
            total = sum(result["seconds"] for result in same)
            which = "all" if len(same) == len(there) else ", ".join(result["name"] for result in same)
            parts.append(f"Measured on {date} in {total / 60:.0f} minutes ({which}): {versions}.\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())

"""Run the benchmarks, print their table and write it to `RESULTS.md`.

    python tests/benchmarks/run.py                      all of them, 8 minutes on two idle cores
    python tests/benchmarks/run.py render_hands         some of them; earlier results of others stay

Each runs in its own process, so a failure costs no other. `results.json` keeps numbers, machine and versions.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import re
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
BENCHMARKS = """
    augment_pairs training_step compare_pairs load_crops evaluate_keypoints open_youtube grad_cache
    render_hands
""".split()
PACKAGES = ("torch", "numpy", "opencv-python", "scipy", "kornia", "lightly")
ABOUT = """\
# Benchmarks

`make bench` measures these again, `make bench ARGS="{example}"` some of them. Ratios are medians over
repeated pairs, ours and the other in turn. "One core" is processor time of one thread. The scripts in this
folder say what a row measures.
"""

Result = dict[str, Any]


def main(argv: Sequence[str] | None = None, folder: Path = HERE, names: Sequence[str] = BENCHMARKS) -> int:
    """Run the benchmarks of a folder that the command line names, or all; returns how many failed."""
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(names)}")
    chosen = parser.parse_args(argv).names or names
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    file, here, done = folder / "results.json", environment(), []
    kept = json.loads(file.read_text()) if file.is_file() else []
    for number, name in enumerate(chosen, start=1):
        print(f"{number}/{len(chosen)} {name} ...", end=" ", flush=True)
        start = time.perf_counter()
        rows = run(folder / f"{name}.py")
        if rows is None:
            continue
        took = round(time.perf_counter() - start)
        print(f"{took} s", flush=True)
        done.append({"name": name, **here, "seconds": took, "rows": rows})
        kept = [old for old in kept if (old["name"], old["machine"]) != (name, here["machine"])] + done[-1:]
        # After each one, so that stopping loses only the one that runs.
        file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        (folder / "RESULTS.md").write_text(report(kept, names))
    print("\n" + table(rows_of(done, names)))
    return len(chosen) - len(done)


def run(script: Path) -> list[dict[str, Any]] | None:
    """Run one benchmark in its own process; its rows, or None after printing its error."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        command = [sys.executable, str(script), "--json", str(rows)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode == 0:
            return json.loads(rows.read_text())
    print(f"failed\n{done.stdout}\n{script.name} ended with exit code {done.returncode}", flush=True)
    return None


def environment() -> dict[str, str]:
    """Machine, versions and date of a measurement."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", cpuinfo.read_text() if cpuinfo.is_file() else "")
    cpu = model[1] if model else platform.processor() or platform.machine()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    found = {package.name: package.version for package in importlib.metadata.distributions()}
    versions = [f"{name} {found[name]}" if name in found else f"no {name}" for name in PACKAGES]
    return {
        "machine": f"{os.cpu_count()} cores of {cpu}, {gpu}, {platform.system()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions]),
        "date": datetime.date.today().isoformat(),
    }


def rows_of(results: Sequence[Result], names: Sequence[str]) -> list[Row]:
    """All rows of some results, in the table's order."""
    by_name = {result["name"]: result["rows"] for result in results}
    return [Row(**row) for name in names for row in by_name.get(name, ())]


def report(results: Sequence[Result], names: Sequence[str]) -> str:
    """The page: one table per machine, and what else its numbers depend on."""
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

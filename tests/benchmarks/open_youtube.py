"""How much memory it takes to open YouTube3DHands' labels: 47,125 meshes of 778 vertices.

    python tests/benchmarks/open_youtube.py            a tenth of them, 0.2 GB of JSON
    python tests/benchmarks/open_youtube.py --part 1   all of them, 2 GB, for which json.load wants 9 GB

Makes the label file with random numbers in a temporary folder, its frames as empty files. Each way of opening
it runs in a process of its own; printed is by how much its peak lies above what it had after its imports.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HANDS, VERTICES = 47_125, 778
AIM = 1 / 10
DIFFERENT = 16
"""Different meshes: enough that nothing is the same twice in a row, and quickly written."""

CHILD = """\
import resource, sys
{imports}
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before, root = peak(), sys.argv[1]
{opening}
print(peak() - before)
"""
WAYS = {
    "json.load": ("import json", "labels = json.load(open(root + '/youtube_train.json'))"),
    "YouTube3DHands, first time": (
        "import ijson, tqdm.auto\nfrom peclr_utils.datasets import YouTube3DHands",
        "hands = YouTube3DHands(root)",
    ),
    "YouTube3DHands, afterwards": (
        "from peclr_utils.datasets import YouTube3DHands",
        "hands = YouTube3DHands(root)",
    ),
}


def write_labels(root: Path, hands: int) -> None:
    """Write the label file, one hand a frame, and empty frames."""
    names = [f"youtube/VIDEO{k // 1000}/video/frames/{k}.png" for k in range(hands)]
    for k, name in enumerate(names):
        if k % 1000 == 0:
            (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    images = [{"name": name, "width": 640, "height": 360, "id": k} for k, name in enumerate(names)]
    meshes = np.random.default_rng(0).uniform(0, 360, (DIFFERENT, VERTICES, 3))
    texts = [json.dumps(mesh.tolist()) for mesh in meshes]
    with (root / "youtube_train.json").open("w") as file:
        file.write(f'{{"images": {json.dumps(images)}, "annotations": [')
        for k in range(hands):
            comma = ", " if k else ""
            labels = f'"is_left": {k % 2}, "image_id": {k}, "id": {k}'
            file.write(f'{comma}{{"vertices": {texts[k % DIFFERENT]}, {labels}}}')
        file.write("]}")


def peak_bytes(way: str, root: Path) -> int:
    """Peak of a process that opens the labels, above what it had after its imports."""
    imports, opening = WAYS[way]
    command = [sys.executable, "-c", CHILD.format(imports=imports, opening=opening), str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout)


def measure(part: float = 0.1) -> dict[str, int]:
    """Peak of each way in bytes.

    Args:
        part: of the data set's size, above 0, at most 1.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_labels(root, round(part * HANDS))
        size = (root / "youtube_train.json").stat().st_size
        print(f"{round(part * HANDS):,} hands, {size / 1e6:.0f} MB of JSON")
        return {way: peak_bytes(way, root) for way in WAYS}


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of opening YouTube3DHands' labels.")
    parser.add_argument("--part", type=float, default=0.1, help="of the real size (default: %(default)s)")
    peaks = measure(parser.parse_args().part)
    plain = peaks["json.load"]
    for way, peak in peaks.items():
        print(f"{way:<28} {peak / 1e6:7.1f} MB   {peak / plain:.4f} of json.load's   (aim: at most {AIM})")


if __name__ == "__main__":
    main()

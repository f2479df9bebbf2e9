"""A pose network as ONNX, for programs without PyTorch: `python -m peclr_utils.weights.onnx --help`.

Inputs: `image` (B, 3, S, S), ImageNet-normalised RGB, and `K` (B, 3, 3), its intrinsics in pixels. Outputs:
the fields of `PoseOutput`. All float32; B is free, S the network's `image_size`, or 224 if it has none.
"""

import argparse
import copy
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from peclr_utils.files import atomic
from peclr_utils.models import DEFAULT_K, PoseNetwork25D, PoseOutput
from peclr_utils.settings import run_and_exit
from peclr_utils.weights.layouts import LABELS
from peclr_utils.weights.load import load_pose_network


@torch.no_grad()
def export_onnx(path: str | Path, network: PoseNetwork25D) -> float:
    """Write a pose network as one ONNX file, if ONNX Runtime computes the same from it as PyTorch.

    Args:
        path: the file, ending in `.onnx`; its folder is made if necessary.
        network: the network; the file gets it in evaluation mode, with its labels as metadata.

    Returns:
        The largest difference in batches of 1 and 7, as a fraction of an output's largest value (at least 1).

    Raises:
        ModuleNotFoundError: if a package is missing; names it.
        ValueError: if the name ends otherwise, or a difference exceeds 1e-4; nothing is written.
    """
    path = Path(path).expanduser()
    if path.suffix != ".onnx":
        raise ValueError(f"{path}: expected a name that ends in .onnx")
    if missing := [name for name in ("onnx", "onnxscript", "onnxruntime") if not find_spec(name)]:
        raise ModuleNotFoundError(f"ONNX needs more packages: pip install {' '.join(missing)}")
    import onnxruntime  # optional

    network = copy.deepcopy(network).cpu().float().eval()
    network.image_size = side = network.image_size or 224
    random = torch.Generator().manual_seed(0)
    images, crops = torch.randn(7, 3, side, side, generator=random), torch.eye(3).repeat(7, 1, 1)
    crops[:, :2] += 0.2 * torch.randn(7, 2, 3, generator=random)  # turned, scaled and shifted
    K = crops @ torch.diag(torch.tensor([side / 224, side / 224, 1])) @ torch.tensor(DEFAULT_K)
    names = {"input_names": ["image", "K"], "output_names": PoseOutput._fields}
    free = {0: torch.export.Dim("batch")}
    with warnings.catch_warnings(action="ignore"):  # of what the exporter does by itself
        program = torch.onnx.export(
            network, (images[:2], K[:2]), dynamic_shapes=(free, free), dynamo=True, verbose=False, **names
        )
    labels = {name: str(getattr(network, name)) for name in LABELS if getattr(network, name, None)}
    program.model.metadata_props.update(labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        program.save(temporary, external_data=False)
        session, differences = onnxruntime.InferenceSession(temporary), []
        for n in (1, 7):
            found = session.run(None, {"image": images[:n].numpy(), "K": K[:n].numpy()})
            for ours, theirs in zip(map(np.asarray, network(images[:n], K[:n])), found, strict=True):
                differences.append(np.abs(ours - theirs).max() / max(np.abs(ours).max(), 1))
        if not (largest := np.max(differences)) <= 1e-4:  # it may be NaN
            wrong = f"{path}: not written, because ONNX Runtime differs from PyTorch by {largest:.1e}"
            raise ValueError(f"{wrong} of an output's scale, expected at most 1e-4")
    return float(largest)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; exit with code 2 and one line for what the user can correct."""
    program = "python -m peclr_utils.weights.onnx"
    parser = argparse.ArgumentParser(program, description="Write a pose network as ONNX, and check the file.")
    parser.add_argument("network", help="a fine-tuned network, this project's or the authors'")
    parser.add_argument("--output", required=True, help="the file to write, for example network.onnx")
    given = parser.parse_args(arguments)
    try:
        largest = export_onnx(given.output, load_pose_network(given.network))
    except (ValueError, OSError, ModuleNotFoundError) as error:
        parser.exit(2, f"{program}: {error}\n")
    print(f"wrote {given.output}: ONNX Runtime differs from PyTorch by {largest:.1e} of an output's scale")
    return 0


if __name__ == "__main__":
    run_and_exit(main)

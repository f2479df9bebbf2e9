"""Are these labels of hands? Units, axes, orders, sides and cameras that are not this package's.

`datasets.check` asks this of a folder, and fine-tuning of some of the hands that it is given.
"""

import numpy as np

from peclr_utils.camera import bone_length, project
from peclr_utils.skeleton import BONES, FREIHAND_INDEX, ROOT, reorder


def label_problems(
    xyz: np.ndarray,
    K: np.ndarray,
    scale: np.ndarray | None = None,
    size: tuple[int, int] | None = None,
    handedness: str = "right",
) -> list[str]:
    """Find units, axes, orders of keypoints, sides and cameras that are not this package's.

    Args:
        xyz: (N, 21, 3) metres, camera frame.
        K: (N, 3, 3) intrinsics in pixels.
        scale: (N,) metres, the length of the bone 9-10.
        size: (height, width) of their images in pixels, if it is one.
        handedness: "right" or "left", which all are said to be; "" if they differ.

    Returns:
        What is wrong and what to do about it, a sentence each.
    """
    xyz, K = xyz.astype(np.float64), K.astype(np.float64)
    lengths = bone_length(xyz)
    bone = np.median(lengths)
    error = 0 if scale is None else np.median(np.abs(scale / lengths - 1))
    front = (xyz[..., 2] > 0).all(1)
    inside = 1.0
    if size is not None and front.any():
        uv = project(xyz[front], K[front])
        inside = ((uv >= -0.5) & (uv <= np.array(size[::-1]) - 0.5)).all(-1).mean()
    # In the right order bones are short: none in a finger is much longer than the reference bone.
    totals = {name: _bones(reorder(xyz, name, "freihand")).sum(1).mean() for name in FREIHAND_INDEX}
    order = min(totals, key=totals.__getitem__)
    remedy = f"; they may be in {order!r}: use skeleton.reorder(xyz, {order!r}, 'freihand')"
    remedy = "" if order == "freihand" else remedy
    in_fingers = [k for k, bone in enumerate(BONES) if ROOT not in bone]
    mixed_up = np.median(_bones(xyz)[:, in_fingers].max(1) / lengths) > 1.8
    mixed_up |= totals["freihand"] > 1.3 * totals[order]
    # Fingers bend to the palm's side: on which side of the plane of wrist, index and little MCP it is.
    palm = np.cross(xyz[:, 5] - xyz[:, 0], xyz[:, 17] - xyz[:, 0])
    bent = (palm[:, None] * (xyz[:, 8:21:4] - xyz[:, 5:18:4])).sum((1, 2)) > 0
    wrong_side = np.mean(bent if handedness == "left" else ~bent) if handedness and not mixed_up else 0.0
    found = {
        f"the keypoints are not in FreiHAND's order{remedy}": mixed_up,
        f"the bone 9-10 is {bone:.4g} long in the median hand, not 0.01 to 0.1; xyz must be metres, in "
        "FreiHAND's order": not 0.01 < bone < 0.1,
        f"scale differs from the bone 9-10 by {error:.0%} in the median hand; it must be the distance of "
        "keypoints 9 and 10 in metres, in FreiHAND's order": error > 0.01,
        f"{(~front).sum():,} of {len(front):,} hands have keypoints behind the camera; x is right, y down, z "
        "forward (from OpenGL's axes: negate y and z)": not front.all(),
        f"{wrong_side:.0%} of the hands bend their fingers as hands of the other side do; is an axis "
        "mirrored, or are left hands said to be right ones?": front.all()
        and len(xyz) > 7
        and wrong_side > 0.75,
        f"only {inside:.1%} of the keypoints lie inside the images; K, xyz and images don't belong together, "
        "or the images were resized and K was not": inside < 0.9,
    }
    return [problem for problem, is_there in found.items() if is_there]


def _bones(xyz: np.ndarray) -> np.ndarray:
    """Lengths of the bones of hands, (N, 20)."""
    return np.stack([bone_length(xyz, bone) for bone in BONES], axis=-1)

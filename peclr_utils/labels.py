"""Check labels of hands: units, axes, orders, sides and cameras that are not this package's.

`datasets.check` does this for a folder, and fine-tuning for some of the hands that it is given.
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
    lengths, found = bone_length(xyz), []
    bone = np.median(lengths)
    # In the right order bones are short.
    totals = {name: _bones(reorder(xyz, name, "freihand")).sum(1).mean() for name in FREIHAND_INDEX}
    order = min(totals, key=totals.__getitem__)
    mixed_up = _is_mixed_up(xyz) or totals["freihand"] > 1.3 * totals[order]
    if mixed_up:
        plausible = not _is_mixed_up(reorder(xyz, order, "freihand"))
        remedy = f"; they may be in {order!r}: use skeleton.reorder(xyz, {order!r}, 'freihand')"
        found.append(f"the keypoints are not in FreiHAND's order{remedy if plausible else ''}")
    if not 0.01 < bone < 0.1:
        expected = "not 0.01 to 0.1; xyz must be metres, in FreiHAND's order"
        found.append(f"the bone 9-10 is {bone:.4g} long in the median hand, {expected}")
    error = 0 if scale is None else np.median(np.abs(scale / lengths - 1))
    if error > 0.01:
        expected = "it must be the distance of keypoints 9 and 10 in metres, in FreiHAND's order"
        found.append(f"scale differs from the bone 9-10 by {error:.0%} in the median hand; {expected}")
    front = (xyz[..., 2] > 0).all(1)
    if not front.all():
        remedy = "x is right, y down, z forward (from OpenGL's axes: negate y and z)"
        behind = f"{(~front).sum():,} of {len(front):,} hands have keypoints behind the camera"
        return [*found, f"{behind}; {remedy}"]
    # Fingers bend to the palm's side: on which side of the plane of wrist, index and little MCP it is.
    palm = np.cross(xyz[:, 5] - xyz[:, 0], xyz[:, 17] - xyz[:, 0])
    fingers = (xyz[:, 8:21:4] - xyz[:, 5:18:4]).sum(1)
    bend = (palm * fingers).sum(1) / np.linalg.norm(palm, axis=1) / np.linalg.norm(fingers, axis=1)
    bend = bend[np.abs(bend) > 0.1]  # flat hands don't count
    wrong = np.mean((bend > 0) == (handedness == "left")) if len(bend) > 7 else 0.0
    if handedness and not mixed_up and wrong > 0.75:
        remedy = "is an axis mirrored, or are left hands said to be right ones?"
        found.append(f"{wrong:.0%} of the hands bend their fingers as hands of the other side do; {remedy}")
    if size is not None:
        uv, looks = (project(xyz, K) + 0.5) / size[::-1], np.median((K[:, :2, 2] + 0.5) / size[::-1], 0)
        inside, seen = ((uv >= 0) & (uv <= 1)).all(-1).mean(), np.median(uv, (0, 1))
        # A crop's camera may look beside it, but then the keypoints don't follow the camera.
        away = (np.abs(looks - 0.5) > 0.2) & (np.abs(seen - looks) < np.abs(seen - 0.5))
        if inside < 0.5 or away.any():
            remedy = "K, xyz and images don't belong together, or the images were resized and K was not"
            place = f"the camera looks at ({looks[0]:.0%}, {looks[1]:.0%}) of their sides"
            found.append(f"{inside:.1%} of the keypoints lie inside the images and {place}; {remedy}")
    return found


def _is_mixed_up(xyz: np.ndarray) -> bool:
    """Whether a bone in a finger is much longer than the reference bone, in the median hand."""
    in_fingers = [k for k, bone in enumerate(BONES) if ROOT not in bone]
    return bool(np.median(_bones(xyz)[:, in_fingers].max(1) / bone_length(xyz)) > 1.8)


def _bones(xyz: np.ndarray) -> np.ndarray:
    """Lengths of the bones of hands, (N, 20)."""
    return np.stack([bone_length(xyz, bone) for bone in BONES], axis=-1)

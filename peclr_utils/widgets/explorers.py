"""Sliders beside an image that follows them.

ipywidgets is imported when an explorer is made, not before; without it, that raises ModuleNotFoundError.

Chapter 01 shows `rotating_hand` and `pose_explorer`, chapter 02 `augmentation_explorer`, chapter 03
`turn_explorer`.
"""

import gc
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from torch import nn

from peclr_utils.crops import CropSet, crop
from peclr_utils.datasets.sample import HandSample
from peclr_utils.hands import GESTURES
from peclr_utils.plotting import plot_hand_3d
from peclr_utils.skeleton import FINGERS
from peclr_utils.widgets.drawing import draw_posed_hand, draw_turns, draw_view

STATIC_NOTE = "(Sliders appear here when the chapter is run in JupyterLab.)"
"""What an explorer prints where nobody can move its sliders."""

WIDEST, CONTROL = 830, 268
"""Pixels: what JupyterLab and its side bar leave of a screen of 1280, and a third of it: a control."""


class Explorer:
    """Sliders beside an image that follows them, or below it where it is too wide.

    Together they fit on a screen of 1280 x 800 pixels; the image has its natural size. It is drawn again when
    a slider is let go. In a notebook that someone looks at it shows the sliders; where a chapter is run
    without a window (papermill, nbconvert), it prints one line instead, so that executed notebooks hold no
    dead widgets.

    Args:
        draw: called with the controls' values by name; returns a matplotlib figure or an RGB uint8 image.
        controls: ipywidgets' controls by the names of `draw`'s arguments.

    Attributes:
        controls: the controls.
        image: the `ipywidgets.Image` that shows what `draw` made.
        widget: all of it together, to put into a layout of one's own.
    """

    def __init__(self, draw: Callable[..., Figure | np.ndarray], controls: Mapping[str, Any]):
        widgets = _ipywidgets()
        self.controls, self._draw = dict(controls), draw
        # A box stretches what is in it, unless that says that it starts at an edge.
        own_size = widgets.Layout(flex="0 0 auto", align_self="flex-start", max_width="100%")
        self.image = widgets.Image(format="png", layout=own_size)
        for control in self.controls.values():
            control.layout.flex, control.layout.max_width = f"1 1 {CONTROL}px", "400px"
            control.observe(self._update, "value")
        self._update()
        room = widgets.Layout(flex=f"1 1 {CONTROL + 8}px", flex_flow="row wrap", align_content="flex-start")
        controls = widgets.HBox(list(self.controls.values()), layout=room)
        page = widgets.Layout(flex_flow="row wrap", max_width=f"{WIDEST}px")
        self.widget = widgets.HBox([self.image, controls], layout=page)

    def _update(self, change: object = None) -> None:
        state = {name: control.value for name, control in self.controls.items()}
        # Collecting garbage takes as long as drawing; it can wait until the image is sent.
        gc.disable()
        try:
            # A reader's own style may write in white, for dark pages; these figures are white.
            with style.context("default"):
                self.image.value = as_png(self._draw(**state))
        finally:
            gc.enable()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if _someone_looks():
            display(self.widget)
        else:
            print(STATIC_NOTE)


def as_png(image: Figure | np.ndarray) -> bytes:
    """Encode a figure, or an RGB uint8 image (H, W, 3), as PNG."""
    if isinstance(image, Figure):
        buffer = BytesIO()
        image.savefig(buffer, format="png", dpi=90, pil_kwargs={"compress_level": 1})  # quick, not small
        return buffer.getvalue()
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def rotating_hand(keypoints_3d: np.ndarray, mesh: tuple[np.ndarray, np.ndarray] | None = None) -> Explorer:
    """Rotate a hand in space by two sliders.

    Args:
        keypoints_3d: (21, 3) metres, camera frame.
        mesh: vertices (V, 3) in the same frame and faces (F, 3), or None.
    """
    azimuth, elevation = _slider("azimuth °", -65, -180, 180, 5), _slider("elevation °", 12, -90, 90, 5)
    draw = partial(plot_hand_3d, keypoints_3d, mesh=mesh)
    return Explorer(draw, {"azimuth": azimuth, "elevation": elevation})


def pose_explorer(start: str = "open", end: str = "fist") -> Explorer:
    """Blend two gestures and bend the fingers, within the joints' limits.

    Args:
        start: a gesture, one of `peclr_utils.hands.GESTURES`.
        end: another one.
    """
    widgets = _ipywidgets()
    controls = {
        "start": widgets.Dropdown(options=list(GESTURES), value=start, description="from"),
        "end": widgets.Dropdown(options=list(GESTURES), value=end, description="to"),
        "blend": _slider("blend", 0, 0, 1, 0.05),
        **{finger: _slider(f"{finger} °", 0, -40, 90, 5) for finger in FINGERS},
        "turn": _slider("turn °", 0, -180, 180, 10),
    }
    return Explorer(draw_posed_hand, controls)


def augmentation_explorer(sample: HandSample, size: int = 160) -> Explorer:
    """Move and recolour an image by sliders.

    Args:
        sample: any sample; it is cropped first if it is not square.
        size: side of the view, pixels.
    """
    widgets = _ipywidgets()
    height, width = sample.image.shape[:2]
    sample = sample if height == width else crop(sample, size)
    controls = {
        "angle": _slider("angle °", 0, -180, 180, 5),
        "scale": _slider("scale", 1, 0.5, 2, 0.05),
        "shift_x": _slider("shift x", 0, -0.5, 0.5, 0.02),
        "shift_y": _slider("shift y", 0, -0.5, 0.5, 0.02),
        "hue": _slider("hue °", 0, -180, 180, 5),
        "saturation": _slider("saturation", 1, 0, 2, 0.05),
        "brightness": _slider("brightness", 1, 0, 2, 0.05),
        "contrast": _slider("contrast", 1, 0, 2, 0.05),
        "blur": _slider("blur px", 0, 0, 4, 0.1),
        "noise": _slider("noise", 0, 0, 0.3, 0.01),
        "grey": widgets.Checkbox(value=False, description="grey"),
        "sobel": widgets.Checkbox(value=False, description="Sobel"),
    }
    return Explorer(partial(draw_view, sample, size), controls)


def turn_explorer(
    networks: Mapping[str, nn.Module], crops: CropSet, image_size: int = 64, view_factor: float = 1.2
) -> Explorer:
    """Turn an image by a slider, and see by how much the points of trained networks turn.

    Args:
        networks, crops, image_size, view_factor: see `draw_turns`.
    """
    controls = {
        "angle": _slider("angle °", 40, -180, 180, 5),
        "hand": _ipywidgets().IntSlider(
            value=0, max=len(crops) - 1, description="hand", continuous_update=False
        ),
    }
    draw = partial(draw_turns, networks, crops, image_size=image_size, view_factor=view_factor)
    return Explorer(draw, controls)


def _slider(name: str, value: float, low: float, high: float, step: float) -> Any:
    return _ipywidgets().FloatSlider(
        value=value,
        min=low,
        max=high,
        step=step,
        description=name,
        readout_format=".0f" if step >= 1 else ".2f",
        continuous_update=False,
    )


def _ipywidgets() -> ModuleType:
    try:
        import ipywidgets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Sliders need ipywidgets: pip install ipywidgets.") from error
    return ipywidgets


def _someone_looks() -> bool:
    """Whether a person could answer: front ends allow input from a cell, papermill and nbconvert do not."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    request = kernel.get_parent("shell") if kernel is not None else {}
    return request.get("content", {}).get("allow_stdin", True)

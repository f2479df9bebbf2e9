"""Figures full of photographs, small enough to keep in a notebook.

Every chapter shows its sheets of pictures with it. PNG spends about 1.5 bytes on a pixel of a photograph,
JPEG a quarter of a byte; for lines and text PNG stays the better one.
"""

from dataclasses import dataclass, field
from io import BytesIO

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Photograph:
    """A picture that a notebook shows where it is a cell's last value.

    Attributes:
        jpeg: the encoded picture.
    """

    jpeg: bytes = field(repr=False)

    def _repr_jpeg_(self) -> bytes:
        return self.jpeg


def compact(figure: Figure, quality: int = 80, dpi: int = 90) -> Photograph:
    """Encode a figure as JPEG, to be shown in its place.

    Args:
        figure: any figure; use it for those that are mostly photographs.
        quality: 1 to 95.
        dpi: dots per inch.

    Returns:
        What a cell should end with.
    """
    buffer = BytesIO()
    figure.savefig(
        buffer, format="jpeg", dpi=dpi, bbox_inches="tight", pil_kwargs={"quality": quality, "optimize": True}
    )
    return Photograph(buffer.getvalue())

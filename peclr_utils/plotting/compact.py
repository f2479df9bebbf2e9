"""Figures full of photographs, small enough to keep in a notebook.

Every chapter shows its sheets of images with it. PNG takes about 1.5 bytes per pixel of a photograph, JPEG a
quarter of a byte; for lines and text PNG is better.
"""

from io import BytesIO

from matplotlib.figure import Figure


def compact(figure: Figure, quality: int = 80, dpi: int = 90):
    """Encode a figure as JPEG, to be shown in its place.

    Args:
        figure: any figure; use it for those that are mostly photographs.
        quality: 1 to 95.
        dpi: dots per inch.

    Returns:
        An `IPython.display.Image`, which a cell should end with.
    """
    from IPython.display import Image

    buffer = BytesIO()
    options = {"quality": quality, "optimize": True}
    figure.savefig(buffer, format="jpeg", dpi=dpi, bbox_inches="tight", pil_kwargs=options)
    return Image(buffer.getvalue(), format="jpeg")

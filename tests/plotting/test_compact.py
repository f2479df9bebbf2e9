import cv2
import numpy as np

from peclr_utils.datasets.sample import HandSample
from peclr_utils.plotting import show_samples
from peclr_utils.plotting.style import compact


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_a_sheet_of_photographs_takes_a_third_of_the_bytes_and_looks_the_same(rng):
    texture = cv2.GaussianBlur(rng.normal(128, 200, (128, 128, 3)), (0, 0), 3).clip(0, 255).astype(np.uint8)
    figure = show_samples([HandSample(texture, k, "made up") for k in range(6)], 6)
    small, png = compact(figure, dpi=100).data, figure._repr_png_()
    assert len(small) < len(png) / 3
    difference = decoded(small).astype(float) - decoded(png)
    assert np.abs(difference).mean() < 3

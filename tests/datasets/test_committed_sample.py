import re

import cv2
import numpy as np
import pytest

from peclr_utils.datasets import FreiHAND, SyntheticHands, export_freihand
from peclr_utils.datasets.check import check


@pytest.fixture
def sample(repository) -> FreiHAND:
    return FreiHAND(repository / "data" / "sample", "training")


def test_the_sample_is_whole_and_small(sample, repository):
    assert len(sample) == 64
    report = check("freihand", str(repository / "data" / "sample"), decode=None)
    assert report.ok, str(report)
    files = [path for path in (repository / "data" / "sample").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_500_000


def test_the_command_in_the_readme_makes_the_sample(sample, repository):
    """If this fails because the rendered hands have changed, run that command and commit what it makes."""
    text = (repository / "data" / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r'^python -c "(.*SyntheticHands.*)"$', text, re.MULTILINE)
    made = {}
    code = command.replace("from peclr_utils.datasets import SyntheticHands, export_freihand; ", "")

    def remember(dataset, root, **options):
        made.update(dataset=dataset, root=root, options=options)

    exec(code, {"SyntheticHands": SyntheticHands, "export_freihand": remember})
    assert made["root"] == "data/sample"
    assert set(made["options"]) <= set(export_freihand.__kwdefaults__)
    for index in (0, 13, 63):
        expected, found = made["dataset"][index], sample[index]
        np.testing.assert_allclose(found.keypoints_3d, expected.keypoints_3d, atol=1e-5)
        found_mean, expected_mean = (cv2.blur(one.image, (9, 9)).astype(int) for one in (found, expected))
        assert np.abs(found_mean - expected_mean).mean() < 3  # means, because JPEG smooths the sensor's noise

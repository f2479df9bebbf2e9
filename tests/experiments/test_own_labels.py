"""Own labels: what the network is sure of becomes labels that COCO's reader takes, and nothing else does."""

from types import SimpleNamespace

import numpy as np
import pytest

from peclr_utils.datasets import open_source
from peclr_utils.datasets.images import write_jpeg
from peclr_utils.experiments import own_labels
from peclr_utils.experiments.own_labels import label_photographs

# Presence of a right and a left hand, and spread, by the grey level of the photograph.
SEEN = {
    20: (0.9, 0.1, 0.03),
    60: (0.2, 0.95, 0.03),
    100: (0.6, 0.0, 0.03),  # not likely enough
    140: (0.9, 0.85, 0.03),  # either side
    180: (0.9, 0.1, 0.2),  # turned copies disagree
    220: (np.nan, np.nan, np.nan),
}

NETWORK = SimpleNamespace(knows_presence=True, any_angle=True)


def fake_predict(network, image, box, is_left):
    """A hand in the middle of the box, as likely as `SEEN` says."""
    level = min(SEEN, key=lambda level: abs(level - int(image.mean())))
    points = np.linspace(box[:2], box[2:], 21)
    return SimpleNamespace(
        presence=SEEN[level][is_left], spread=SEEN[level][2], keypoints_2d=points, is_left=is_left
    )


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    monkeypatch.setattr(own_labels, "predict", fake_predict)
    for level in SEEN:
        write_jpeg(tmp_path / f"{level:03}.jpg", np.full((50, 100, 3), level, np.uint8))
    return tmp_path


def test_only_hands_that_the_network_is_sure_of_are_labelled(photographs):
    file = photographs / "labels.json"
    assert label_photographs(NETWORK, photographs, file) == 2
    hands = list(open_source(f"coco:{photographs}?labels={file}"))
    assert [(hand.name, hand.handedness) for hand in hands] == [("020.jpg", "right"), ("060.jpg", "left")]
    np.testing.assert_allclose(hands[0].keypoints_2d, np.linspace((12, 6), (88, 44), 21), atol=0.01)


def test_photographs_that_cannot_be_read_are_skipped_with_one_warning(photographs):
    (photographs / "020.jpg").write_bytes(b"\xff\xd8 and no more")
    with pytest.warns(UserWarning, match="Skipped 1 of 6 photographs.*020.jpg"):
        assert label_photographs(NETWORK, photographs, photographs / "labels.json") == 1


def test_a_network_that_is_sure_of_nothing_writes_no_file(photographs):
    for sure in ("020.jpg", "060.jpg"):
        (photographs / sure).unlink()
    assert label_photographs(NETWORK, photographs, photographs / "labels.json") == 0
    assert not (photographs / "labels.json").exists()


@pytest.mark.parametrize("lacks", ["knows_presence", "any_angle"])
def test_a_network_that_cannot_be_sure_is_refused(photographs, lacks):
    network = SimpleNamespace(**{**vars(NETWORK), lacks: False})
    with pytest.raises(ValueError, match="expected a network that knows presence"):
        label_photographs(network, photographs, photographs / "labels.json")

"""Finding hands with a network that knows one by construction: a disc, notched on a right hand's right."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from peclr_utils.camera import project
from peclr_utils.datasets import HandSample, image_folder
from peclr_utils.inference import find_hands, predict
from peclr_utils.inference.cutting import square_cut
from peclr_utils.inference.finding import LIKELY, ROUNDS, best_hands, crop_again, is_same
from peclr_utils.inference.inputs import hand_images
from peclr_utils.inference.prediction import run
from peclr_utils.inference.sliding import windows
from peclr_utils.inference.voting import WindowPredictions, overlap
from peclr_utils.models import PoseOutput

SIZE, FACTOR = 64, 1.2
CIRCLE = np.stack([np.cos(a := np.linspace(0, 2 * np.pi, 22)[:21]), np.sin(a)], axis=1)
REACH = np.linalg.norm(CIRCLE - CIRCLE.mean(0), axis=1).max()


class DiscNetwork(nn.Module):
    """Puts keypoints on the circle about what is bright; presence is how well that fills a view."""

    image_size, view_factor, keypoint_order, knows_presence = SIZE, FACTOR, "freihand", True

    def __init__(self):
        super().__init__()
        self.where = nn.Parameter(torch.zeros(()))

    def forward(self, images, K=None):
        bright = (images[:, 0] > 0.5).double()
        green = (images[:, 1] > 1.5).double() * (images[:, 0] < 0.5)
        axis = torch.arange(SIZE, dtype=torch.float64)
        area = bright.sum((1, 2)).clamp_min(1e-9)
        centre = (
            torch.stack([(bright * axis).sum((1, 2)), (bright * axis[:, None]).sum((1, 2))], 1)
            / area[:, None]
        )
        radius = (area / np.pi).sqrt().clamp_min(1)
        points = centre[:, None] + radius[:, None, None] * torch.as_tensor(CIRCLE)
        off = (centre - (SIZE - 1) / 2).norm(dim=1) / SIZE
        size = radius * 2 * FACTOR * REACH / SIZE
        side = ((green * axis).sum((1, 2)) / green.sum((1, 2)).clamp_min(1e-9) - centre[:, 0]) / radius
        presence = 6 - 20 * off - 5 * size.log().abs() - 20 * (side < 0.5) - 20 * (area < 20)
        ones = torch.ones(*points.shape[:2], 1, dtype=torch.float64)
        return PoseOutput(points, ones[..., 0], 9 * ones[:, 0, 0], torch.cat([points, 9 * ones], 2), presence)


def picture(*discs, width=400, height=300):
    """Black, with a disc (x, y, radius, side) for each hand."""
    image = np.zeros((height, width, 3), np.uint8)
    for x, y, radius, side in discs:
        cv2.circle(image, (x, y), radius, (255, 0, 0), -1)
        notch = (x + (1 if side == "right" else -1) * int(0.75 * radius), y)
        cv2.circle(image, notch, max(2, radius // 6), (0, 255, 0), -1)
    return image


def find(image, smallest=0.15, most=4):
    return find_hands(DiscNetwork(), image, smallest=smallest, most=most)


@pytest.mark.parametrize(
    "disc", [(200, 150, 60, "right"), (90, 80, 40, "left"), (330, 220, 30, "right"), (200, 150, 140, "left")]
)
def test_a_hand_is_found_wherever_it_is_and_whichever_it_is(disc):
    (hand,) = find(picture(disc))
    x, y, radius, side = disc
    assert hand.is_left == (side == "left") and hand.presence > 0.9
    low, high = hand.keypoints_2d.min(0), hand.keypoints_2d.max(0)
    np.testing.assert_allclose((low + high) / 2, (x, y), atol=0.06 * radius + 1)
    np.testing.assert_allclose(high - low, 2 * radius, rtol=0.1)


def test_several_hands_are_each_found_once_and_the_best_ones_come_first():
    discs = [(80, 80, 45, "right"), (300, 90, 50, "left"), (200, 230, 40, "right")]
    hands = find(picture(*discs))
    centres = np.stack([(h.keypoints_2d.min(0) + h.keypoints_2d.max(0)) / 2 for h in hands])
    nearest = [int(np.linalg.norm(centres - disc[:2], axis=1).argmin()) for disc in discs]
    assert sorted(nearest) == [0, 1, 2] and len(hands) == 3
    assert [hands[k].is_left for k in nearest] == [False, True, False]
    assert [hand.presence for hand in hands] == sorted((hand.presence for hand in hands), reverse=True)
    assert len(find(picture(*discs), most=2)) == 2


@pytest.mark.parametrize(
    "image", [picture(), np.full((70, 900, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)]
)
def test_no_hand_is_an_answer(image):
    assert find(image) == []


@pytest.mark.parametrize("shape", [(300, 400), (1000, 60), (90, 130)])
def test_windows_of_every_size_cover_the_hands_that_fit(shape):
    """For every place and size of a hand there is a window about its centre, within stride and ratio."""
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    levels = list(windows(image, SIZE, FACTOR, 0.2))
    sides = np.array([level.side for level in levels])
    rng = np.random.default_rng(0)
    largest = min(height, width)
    unmagnified = 1.5**0.5 * SIZE / (2 * 0.63 * FACTOR)
    smallest = min(largest, max(0.2 * largest, unmagnified))
    for _ in range(200):
        hand = rng.uniform(smallest, largest)  # its box's longer side
        side = 2 * 0.63 * FACTOR * hand
        k = int(np.abs(np.log(sides / side)).argmin())
        assert abs(np.log(sides[k] / side)) <= np.log(1.5) / 2 + 0.02
        centre = rng.uniform(hand / 2, np.array([width, height]) - hand / 2)
        off = np.abs(levels[k].centre - centre).max(axis=1).min() / sides[k]
        assert off < 0.2


def test_a_window_shows_what_lies_under_it():
    image = picture((150, 120, 50, "right"))
    for level in windows(image, SIZE, FACTOR, 0.3):
        inside = (level.crops[..., 0] > 127).any(axis=(1, 2))
        centres = level.centre
        near = np.abs(centres - (150, 120)).max(axis=1)
        assert inside[near < level.side / 2 + 30].all()
        assert not inside[near > level.side / 2 + 55].any()


def test_windows_are_cut_out_when_they_are_asked_for():
    *_, level = windows(np.zeros((300, 400, 3), np.uint8), SIZE, FACTOR, 0.1)
    held = sum(np.asarray(part).nbytes for part in level)
    assert held < level.crops.nbytes / 5
    np.testing.assert_array_equal(level.cut(slice(3, 9)), level.crops[3:9])


@pytest.mark.parametrize("size", [32, 64, 96])
def test_an_image_is_magnified_to_windows_of_64_pixels_at_least(size):
    small, pixel = np.zeros((200, 300, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)
    sides = [level.side for level in windows(small, size, FACTOR, 0.02)]
    assert min(size, 64) <= sides[-1] < 1.5 * min(size, 64)  # the same hands are looked for at any size
    assert len(list(windows(pixel, SIZE, FACTOR, 0.02))) == 1


def test_overlap_is_intersection_over_union():
    assert overlap(np.array([0, 0, 2, 2]), np.array([1, 0, 3, 2])) == pytest.approx(1 / 3)
    assert overlap(np.array([0, 0, 2, 2]), np.array([5, 5, 6, 6])) == 0


def test_boxes_are_one_hand_if_they_share_much_of_their_union_or_one_lies_in_the_other():
    box = np.array([0, 0, 10, 10])
    assert is_same(box, box + 2) and is_same(box, np.array([3, 3, 5, 5]))
    assert not is_same(box, box + 6) and not is_same(box, np.array([8, 8, 14, 14]))


def test_many_images_are_searched_one_by_one_and_what_samples_say_is_not_used(tmp_path):
    disc = (200, 150, 60, "right")
    told = HandSample(picture(disc), 0, "mine", handedness="left", box=np.array([0.0, 0, 20, 20]))
    hands = find([told, picture(), picture(disc, (80, 60, 40, "left"))])
    assert [hand.index for hand in hands] == [0, 2, 2] and not hands[0].is_left
    with pytest.warns(UserWarning, match="Skipped 1 images: .*gone.png"):
        assert len(find([tmp_path / "gone.png", picture(disc)])) == 1
    with pytest.raises(FileNotFoundError):
        find(tmp_path / "gone.png")


def test_every_file_is_read_once_and_a_folder_warns_once(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), picture((200, 150, 60, "right"))[..., ::-1])
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    opened, original = [], image_folder.read_image
    monkeypatch.setattr(image_folder, "read_image", lambda path: opened.append(path.name) or original(path))
    with pytest.warns(UserWarning, match="skipped") as caught:
        assert len(find(tmp_path)) == 2
    assert opened == ["a.png", "b.png"] and len(caught) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_of_any_precision_finds_hands(dtype):
    class Precise(DiscNetwork):
        def forward(self, images, K=None):
            assert images.dtype == dtype
            return super().forward(images, K)

    (hand,) = find_hands(Precise().to(dtype), picture((200, 150, 60, "left")))
    assert hand.is_left and hand.presence > 0.9


def test_predictions_that_are_not_finite_have_presence_0():
    class Lost(DiscNetwork):
        def forward(self, images, K=None):
            return PoseOutput(*(np.nan * part for part in super().forward(images, K)))

    image = picture((200, 150, 60, "right"))
    for hand in (predict(Lost(), image), predict(Lost(), image, box=[140, 90, 260, 210])):
        assert hand.presence == 0 and np.isnan(hand.keypoints_2d).all()
    assert find_hands(Lost(), image) == []


def test_a_network_that_does_not_know_presence_is_refused():
    network = DiscNetwork()
    network.knows_presence = False
    with pytest.raises(ValueError, match="can't tell whether a hand is in its place; give predict a box"):
        find_hands(network, picture())
    with pytest.raises(ValueError, match="smallest must be from 0.02 to 1, found 0"):
        find(picture(), smallest=0)
    with pytest.raises(ValueError, match="most must be at least 1, found 0"):
        find(picture(), most=0)


def test_predict_without_a_box_returns_the_most_likely_hand_of_either_side():
    disc = (300, 90, 50, "left")
    hand = predict(DiscNetwork(), picture(disc))
    assert hand.is_left and hand.presence > 0.9
    middle = (hand.keypoints_2d.min(0) + hand.keypoints_2d.max(0)) / 2
    np.testing.assert_allclose(middle, disc[:2], atol=4)
    told = predict(DiscNetwork(), picture(disc), is_left=False)
    assert not told.is_left and told.presence < 0.5
    nothing = predict(DiscNetwork(), picture())
    assert nothing.presence < 0.5
    boxed, searched = predict(
        DiscNetwork(), [picture(disc)] * 2, box=[[250, 40, 350, 140], None], is_left=True
    )
    assert min(boxed.presence, searched.presence) > 0.9 and [boxed.index, searched.index] == [0, 1]
    np.testing.assert_allclose(boxed.keypoints_2d, searched.keypoints_2d, atol=5)


@pytest.mark.parametrize("side", ["right", "left"])
def test_crops_that_follow_one_another_come_to_the_hand(side):
    disc = (150, 120, 50, side)
    hands = crop_again(DiscNetwork(), picture(disc), (175, 135), 90, is_left=side == "left")
    assert 1 < len(hands) <= ROUNDS
    centres = np.stack([(hand.box[:2] + hand.box[2:]) / 2 for hand in hands])
    sides = [hand.box[2] - hand.box[0] for hand in hands]
    np.testing.assert_allclose((*centres[0], sides[0]), (175, 135, 90), atol=1e-9)
    np.testing.assert_allclose(centres[-1], disc[:2], atol=4)
    assert sides[-1] == pytest.approx(2 * FACTOR * REACH * 50, rel=0.1)
    assert hands[-1].presence == max(hand.presence for hand in hands) > 0.9
    (found,) = find(picture(disc))
    np.testing.assert_allclose(hands[-1].keypoints_2d, found.keypoints_2d, atol=4)


def test_crops_of_an_image_that_is_missing_name_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.png"):
        crop_again(DiscNetwork(), tmp_path / "gone.png", (5, 5), 9)


class SureNetwork(DiscNetwork):
    """Takes everything for a hand in its place."""

    def forward(self, images, K=None):
        output = super().forward(images, K)
        return output._replace(presence=torch.full_like(output.presence, 9.0))


def test_what_is_seen_differently_in_turned_copies_is_no_hand():
    """The keypoints of discs don't turn with the image, which a network for any angle should never see."""
    network, image = SureNetwork(), picture((200, 150, 60, "right"))
    assert find_hands(network, image)
    network.any_angle = True
    assert find_hands(network, image) == []
    # Asked for the hand of an image, it still gives the likeliest one, and says how unsure it is.
    assert predict(network, image).spread > 0.1


class TurningNetwork(DiscNetwork):
    """Its circle of keypoints begins at the disc's notch, so it turns with the image."""

    any_angle = True

    def forward(self, images, K=None):
        output = super().forward(images, K)
        green = (images[:, 1] > 1.5).double() * (images[:, 0] < 0.5)
        axis = torch.arange(images.shape[2], dtype=torch.float64)
        notch = torch.stack([(green * axis).sum((1, 2)), (green * axis[:, None]).sum((1, 2))], 1)
        points = torch.view_as_complex(output.keypoints_2d.contiguous())
        centre = points[:, :20].mean(1, keepdim=True)
        notch = torch.view_as_complex(notch / green.sum((1, 2))[:, None])[:, None] - centre
        turned = centre + (points - centre) * notch / notch.abs()
        presence = torch.full_like(output.presence, 9.0)  # its notch may be anywhere
        return output._replace(keypoints_2d=torch.view_as_real(turned), presence=presence)


def test_turned_copies_of_a_crop_agree_if_the_network_turns_with_the_image():
    image = picture((60, 55, 30, "right"), width=120, height=120)
    hand = predict(TurningNetwork(), image, box=(30, 25, 90, 85))
    np.testing.assert_allclose(hand.keypoints_2d, np.array([60, 55]) + 30 * CIRCLE, atol=2)
    assert hand.spread < 0.04 and hand.presence > 0.9
    # What is lifted to 3D from all copies lies where the camera of the whole image sees it.
    np.testing.assert_allclose(project(hand.keypoints_3d, hand.K), hand.keypoints_2d, atol=1e-6)
    # A network whose keypoints don't turn with the hand disagrees with itself; one copy can't tell.
    still = DiscNetwork()
    assert predict(still, image, box=(30, 25, 90, 85)).spread is None
    still.any_angle = True
    assert predict(still, image, box=(30, 25, 90, 85)).spread > 0.3


class HastyNetwork(TurningNetwork):
    """Likes a disc in the middle of its view, and likes one in the view's right half more, but not turned."""

    def forward(self, images, K=None):
        output = super().forward(images, K)
        off = output.keypoints_2d[:, :20].mean(1) - (SIZE - 1) / 2
        centred, right = off.norm(dim=1) < 4, (off[:, 0] > 6) & (off[:, 1].abs() < 4)
        return output._replace(presence=3.0 * centred + 6.0 * right - 9.0 * ~(centred | right))


def test_turned_copies_decide_which_of_two_crops_of_a_hand_is_kept():
    given = next(hand_images(picture((200, 150, 40, "right")), None, None, None, False, False))
    starts = [(given, square_cut(np.array(centre), 130, SIZE)) for centre in ((175, 150), (200, 150))]
    network = HastyNetwork()
    with torch.inference_mode():
        hasty, steady = (run(network, [given], [cut], SIZE, once=True)[0].presence for _, cut in starts)
        assert hasty > steady > LIKELY
        (hand,) = best_hands(network, starts, 4)
    np.testing.assert_allclose((hand.box[:2] + hand.box[2:]) / 2, (200, 150), atol=2)
    assert hand.presence == pytest.approx(steady)


class ShyNetwork(TurningNetwork):
    """Sees a hand in a disc only where it is off the middle of the view, in any direction."""

    def forward(self, images, K=None):
        output = super().forward(images, K)
        off = (output.keypoints_2d[:, :20].mean(1) - (SIZE - 1) / 2).norm(dim=1)
        return output._replace(presence=torch.where((off > 6) & (off < 20), 6.0, -6.0))


def test_what_is_gone_at_a_second_look_is_no_hand():
    given = next(hand_images(picture((200, 150, 40, "right")), None, None, None, False, False))
    starts = [(given, square_cut(np.array([175, 150]), 130, SIZE))]
    windows = {False: WindowPredictions(np.ones(3), np.tile([160.0, 110, 240, 190], (3, 1)), [])}
    with torch.inference_mode():
        assert len(best_hands(TurningNetwork(), starts, 4, windows=windows)) == 1
        assert len(best_hands(ShyNetwork(), starts, 4)) == 1
        assert best_hands(ShyNetwork(), starts, 4, windows=windows) == []

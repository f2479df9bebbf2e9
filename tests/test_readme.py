import re
import shutil

import pytest
import torch
import torchvision

from peclr_utils.datasets import SyntheticHands, export_freihand
from peclr_utils.models import PoseNetwork25D


@pytest.fixture(scope="module")
def readme(repository):
    return (repository / "README.md").read_text()


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def readers_folder(repository, tmp_path, monkeypatch):
    """A reader's folder: files as published but with random weights, FreiHAND, a picture."""
    encoder = torchvision.models.resnet50(weights=None).state_dict()
    torch.save({"state_dict": encoder}, tmp_path / "peclr_rn50_yt3dh_fh.pth")
    names = {"backbone.": "backend_model.", "root_refinement.": "zroot_ref.zroot_ref."}
    pose = {
        new + key.removeprefix(old): value
        for key, value in PoseNetwork25D("resnet50").state_dict().items()
        for old, new in names.items()
        if key.startswith(old)
    }
    torch.save({"state_dict": pose}, tmp_path / "rn50_peclr_yt3d-fh_pt_fh_ft.pth")
    export_freihand(SyntheticHands(2, seed=1), tmp_path / "data/raw/FreiHAND_pub_v2", part="evaluation")
    picture = next((repository / "data" / "sample").rglob("*.jpg"))
    shutil.copy(picture, tmp_path / "hand.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_python_example_runs(readme, readers_folder):
    examples = blocks(readme, "python")
    assert examples
    for example in examples:
        exec(compile(example, "README.md", "exec"), {})
    assert (readers_folder / "encoder.safetensors").is_file()
    assert (readers_folder / "runs" / "rn50" / "pred.json").is_file()


def test_every_link_into_the_repository_leads_somewhere(readme, repository):
    links = [link for link in re.findall(r"\]\(([^)#]+)", readme) if "://" not in link]
    assert links
    assert [link for link in links if not (repository / link).exists()] == []


def test_every_make_command_names_a_target(readme, repository):
    targets = set(re.findall(r"^(\w+):", (repository / "Makefile").read_text(), flags=re.MULTILINE))
    used = set(re.findall(r"(?:^|`)make (\w+)", readme, flags=re.MULTILINE))
    assert used
    assert used <= targets

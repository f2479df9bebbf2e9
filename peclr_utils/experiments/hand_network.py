"""The recipe of `data/weights/hand_rn18.safetensors`, the network that finds the hand in a photograph.

    python -m peclr_utils.experiments.hand_network --photographs FOLDER --output runs/hand

Each step resumes. PeCLR pre-trains an encoder on rendered hands and unlabelled photographs
(`training.pretrain`). Rendered labels teach it the pose and whether a hand is in its place, in five rounds
(`training.finetune`): the second counts errors in the image more, and puts people behind the hands; the third
shows other hands, many of which hold each finger stretched or folded, before more backgrounds; the fourth
shows others again, more people, and views of 96 instead of 64 pixels; the fifth others again, and more blur.
In a sixth, short one, a fifth of the views are of the photographs, which the network labels itself
(`own_labels`); without photographs it is left out.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from peclr_utils.datasets import UPRIGHT
from peclr_utils.experiments.own_labels import label_photographs
from peclr_utils.settings import JSON, Settings, run_and_exit, run_command_line
from peclr_utils.training import FinetuneConfig, PretrainConfig, finetune, pretrain
from peclr_utils.training.checkpoint import CHECKPOINT
from peclr_utils.weights import load_pose_network
from peclr_utils.weights.save import save_safetensors

RENDERED = "size=192&border=0.25"
"""Options of the labelled hands: about as many pixels as a view has at the full size."""

STEPS = ("first", "second", "third", "fourth", "fifth", "sixth")
"""Rounds of fine-tuning; the last three have larger views, and the last one needs photographs."""

STRONG_VIEWS: dict[str, Any] = {
    "rotation": 180.0, "scale": [0.75, 1.33], "shift": 0.1, "brightness": 0.4, "contrast": 0.4,
    "saturation": 0.6, "hue": 20.0, "gain": 0.15, "grey": 0.1, "blur": 0.3, "noise": 0.3, "cutout": 0.3,
    "cutout_side": [0.1, 0.35], "background": 0.7,
}  # fmt: skip
"""Strong views: photographs differ from rendered hands in all of these."""


def _counting(number: int, seeds: Sequence[int]) -> tuple[str, ...]:
    """Four sets of so many hands, seen from the palm, the back or anywhere, few or many of them counting."""
    kinds = ((45, 0.7), (45, 0.3), (90, 0.5), (90, 0.2))
    return tuple(
        f"synthetic:{number}?seed={seed}&view={view},180&counting={share}&{RENDERED}"
        for seed, (view, share) in zip(seeds, kinds, strict=True)
    )


@dataclass(frozen=True, kw_only=True)
class HandNetworkConfig(Settings):
    """Settings of `train_hand_network`; the defaults take six hours on two fast cores without a GPU."""

    output: str = "runs/hand"  # Folder: a run folder for each step, and hand_rn18.safetensors.
    cache: str = "data/cache"  # Folder for packed crops, some 15 GB; "" for a temporary one.
    photographs: str = ""  # Folder of unlabelled photographs, each about filled by one hand; "": none.
    # Hands to pre-train on beside the photographs.
    unlabelled: tuple[str, ...] = (f"synthetic:10120?seed=1&{UPRIGHT}",)
    # Hands of the first two rounds: half seen from the palm or the back, half from anywhere.
    labelled: tuple[str, ...] = (
        f"synthetic:20000?seed=11&view=45,180&{RENDERED}",
        f"synthetic:20000?seed=12&view=90,180&{RENDERED}",
    )
    # Hands of the third round: gestures of photographs, in which each finger is stretched or folded.
    counting: tuple[str, ...] = _counting(15_000, (21, 22, 23, 24))
    # Hands of the fourth round, which has larger views.
    larger: tuple[str, ...] = _counting(9_000, (31, 32, 33, 34))
    # Hands of the last two rounds, which are blurred more often.
    blurred: tuple[str, ...] = _counting(9_000, (41, 42, 43, 44))
    pretrain: JSON = field(default_factory=dict)  # Fields of PretrainConfig that differ from `laptop()`.
    first: JSON = field(default_factory=dict)  # Fields of FinetuneConfig that differ from `finetune_config`.
    second: JSON = field(default_factory=dict)  # The same for the second round.
    third: JSON = field(default_factory=dict)  # The same for the third round.
    fourth: JSON = field(default_factory=dict)  # The same for the fourth round.
    fifth: JSON = field(default_factory=dict)  # The same for the fifth round.
    sixth: JSON = field(default_factory=dict)  # The same for the sixth round.

    @classmethod
    def smoke(cls, **changes: Any) -> Self:
        """The same steps in seconds, for tests; the network learns next to nothing."""
        tiny = {"image_size": 32, "batch_size": 8}
        steps = {"steps": 4, "warmup_steps": 1, **tiny}
        later = {**steps, "backgrounds": 16}
        start = cls(
            output="runs/smoke/hand", cache="", unlabelled=("synthetic:32?seed=1",),
            labelled=("synthetic:32?seed=2",), counting=("synthetic:16?seed=4&counting=0.5",),
            larger=("synthetic:16?seed=5",), blurred=("synthetic:16?seed=6",),
            pretrain={"epochs": 1, "warmup_epochs": 0.5, **tiny},
            first=steps, second=steps, third=later, fourth=later, fifth=later, sixth=later,
        )  # fmt: skip
        return start.replace(**changes)

    def pretrain_config(self) -> PretrainConfig:
        """Settings of the pre-training."""
        photographs = (f"folder:{self.photographs}?disc=1",) if self.photographs else ()
        own = {"sources": (*self.unlabelled, *photographs), "output": f"{self.output}/pretrain"}
        return PretrainConfig.laptop(epochs=4).replace(cache=self.cache, **own).replace(**self.pretrain)

    @property
    def own_labels(self) -> Path:
        """File of the labels that the network gives to the photographs; once made it is kept.

        Delete it and the folder of the sixth round to label them again.
        """
        return Path(self.output, "photographs.json")

    def finetune_config(self, step: str) -> FinetuneConfig:
        """Settings of one of the `STEPS`."""
        start = {name: f"{self.output}/{name}/{CHECKPOINT}" for name in ("pretrain", *STEPS)}
        later: dict[str, Any] = {"weight_2d": 15.0, "absent": 0.2, "people": 0.4}
        last: dict[str, Any] = {
            **later, "image_size": 96, "steps": 2300, "warmup_steps": 100, **_rate(1.2e-3),
            "absent": 0.25, "people": 0.6, "backgrounds": 8192,
        }  # fmt: skip
        blurred = {"augmentation": {**STRONG_VIEWS, "blur": 0.5}}
        photographs = f"coco:{self.photographs}?labels={self.own_labels}"
        own: dict[str, Any] = {
            "first": {"encoder": start["pretrain"], "steps": 1600, **_rate(1.5e-3)},
            "second": {"network": start["first"], "steps": 3000, **_rate(1.5e-3), **later},
            "third": {
                "network": start["second"], "sources": self.counting, "steps": 6400, **_rate(1.5e-3),
                **later, "backgrounds": 8192,
            },
            "fourth": {"network": start["third"], "sources": self.larger, **last},
            "fifth": {
                "network": start["fourth"], "sources": self.blurred, **last,
                **blurred, "steps": 1800,
            },
            "sixth": {
                "network": start["fifth"], "sources": (*self.blurred, photographs), **last,
                **blurred, "steps": 400, "warmup_steps": 40, **_rate(5e-4),
            },
        }[step]  # fmt: skip
        common = FinetuneConfig(
            sources=self.labelled, cache=self.cache, output=f"{self.output}/{step}", batch_size=256,
            warmup_steps=200, absent=0.3, augmentation=dict(STRONG_VIEWS), log_every=50,
        )  # fmt: skip
        return common.replace(**own).replace(**getattr(self, step))


def _rate(rate: float) -> dict[str, float]:
    """One learning rate for head and encoder."""
    return {"learning_rate": rate, "encoder_learning_rate": rate}


def train_hand_network(config: HandNetworkConfig) -> Path | None:
    """Train the network step by step; those that are finished are read back.

    Returns:
        The network's file in the output folder; None if a step stopped early, for the same call to resume.

    Raises:
        ValueError, FileNotFoundError: as `pretrain` and `finetune`.
    """
    config.validate()
    if not pretrain(config.pretrain_config()).finished:
        return None
    for step in STEPS if config.photographs else STEPS[:-1]:
        if step == "sixth" and not config.own_labels.is_file():
            network = load_pose_network(config.finetune_config(step).network)
            count = label_photographs(network, config.photographs, config.own_labels)
            if not count:
                text = "the network is sure of no hand in these photographs; left out the sixth round"
                warnings.warn(f"{config.photographs}: {text}", stacklevel=2)
                break
            print(f"The network labelled {count} photographs.")
        result = finetune(config.finetune_config(step))
        if not result.finished:
            return None
    return save_safetensors(Path(config.output, "hand_rn18.safetensors"), result.model.half())


def _summary(path: Path | None) -> str:
    if path is None:
        return "A step stopped early; the same command resumes it."
    return f"{path}: {path.stat().st_size / 1e6:.1f} MB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says."""
    program = "python -m peclr_utils.experiments.hand_network"
    return run_command_line(HandNetworkConfig, train_hand_network, program, _summary, arguments)


if __name__ == "__main__":
    run_and_exit(main)

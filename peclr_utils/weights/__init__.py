"""Every checkpoint format in and out.

Chapters 03 and 04 save and load with it; chapter 05 takes the authors' published weights.

What is read: this project's files; the authors' published pre-trained and fine-tuned files and their
training checkpoints; plain torchvision state dicts; all of these as `.safetensors`, and with the prefixes
`module.` and `_orig_mod.`. Every tensor of a file must have its place and every place its tensor. Three kinds
of keys are exempt: an encoder's `fc.*`, the 1000 classes of a classifier, and `encoder.final_layer.0.*`, a
layer the authors' training never used, are dropped; `num_batches_tracked` may be missing.

What is dropped or left unread is said by `logging.getLogger("peclr_utils.weights")` at level WARNING. Scripts
and notebooks show that without any set-up and each time anew; of `warnings` they would show the first only.
To silence it, set that logger's level to ERROR.

This project's own files are written by `torch.save` and hold tensors, numbers, strings, lists and dicts
only, so that `torch.load(weights_only=True)` reads them and nothing in a file can run::

    format    "peclr_utils 1"
    kind      "encoder", "contrastive" or "pose"
    arch      "resnet18", ...
    model     state dict of the encoder, `ContrastiveModel` or `PoseNetwork25D`
    config    the run's settings as plain values
    training  what a resumed run needs (optimiser, step, ...), or None once the run is finished
    extra     anything else, for example results

A pose network's file also has its `keypoint_order`, and `image_size` and `view_factor` of the crops that it
was trained on if it knows them (otherwise `config` may say them). As `.safetensors`, the metadata hold
"peclr_utils" (the format), "kind", "arch" and these, and the tensors are `model`.
"""

from peclr_utils.weights.architecture import find_architecture, load_strictly
from peclr_utils.weights.layouts import FORMAT
from peclr_utils.weights.loading import IMAGENET, load_contrastive_model, load_encoder, load_pose_network
from peclr_utils.weights.reading import read_checkpoint
from peclr_utils.weights.saving import remove_leftovers, save_checkpoint, save_encoder, save_safetensors

__all__ = [
    "FORMAT",
    "IMAGENET",
    "find_architecture",
    "load_contrastive_model",
    "load_encoder",
    "load_pose_network",
    "load_strictly",
    "read_checkpoint",
    "remove_leftovers",
    "save_checkpoint",
    "save_encoder",
    "save_safetensors",
]

"""Read and write every checkpoint format.

Chapters 03 and 04 save and load with it; chapter 05 takes the authors' published weights.

It reads this project's files; the authors' published pre-trained and fine-tuned files and their training
checkpoints; torchvision state dicts; all of these as `.safetensors`, and with the prefixes `module.` and
`_orig_mod.`. Tensors of a file and of its network must match one to one, with three exceptions: an
encoder's `fc.*`, the 1000 classes of a classifier, and `encoder.final_layer.0.*`, a layer that the authors'
training never used, are dropped; `num_batches_tracked` may be missing. Of any other file, only a ResNet's
tensors must match. `peclr_utils.weights.onnx` writes pose networks as ONNX.

`logging.getLogger("peclr_utils.weights")` warns of whatever is dropped or not read.

This project's own files are written by `torch.save` and hold tensors, numbers, strings, lists and dicts
only, so that `torch.load(weights_only=True)` reads them and nothing in a file can run::

    format    "peclr_utils 1"
    kind      "encoder", "contrastive" or "pose"
    arch      "resnet18", ...
    model     state dict of the encoder, `ContrastiveModel` or `PoseNetwork25D`
    config    the run's settings as plain values
    training  what a resumed run needs (optimiser, step, ...), or None once the run is finished
    extra     anything else, for example results

A pose network's file also has its `keypoint_order` and, if known, `image_size` and `view_factor` of its
training crops (otherwise `config` may have them). In `.safetensors`, the metadata hold "peclr_utils" (the
format), "kind", "arch" and these, and the tensors are `model`.
"""

from peclr_utils.weights.load import load_contrastive_model, load_encoder, load_pose_network, load_strictly
from peclr_utils.weights.read import read_checkpoint
from peclr_utils.weights.save import remove_leftovers, save_checkpoint, save_encoder, save_safetensors

__all__ = [
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

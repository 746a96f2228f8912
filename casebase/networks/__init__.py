"""Every network: found by name, loaded, read, given a head, saved and fine-tuned.

Importing this package loads no heavy library; its modules do, so callers import them where they are used:

* ``backbones`` — a ``--model`` text to a loaded network; what exists, what it needs.
* ``explained`` — :class:`~casebase.networks.explained.ExplainedNetwork`: features, class probabilities and maps.
* ``open_clip_net`` — :class:`~casebase.networks.open_clip_net.ClipEmbedder`: the space ``clip``.
* ``linear_head`` — class scores where no classifier knows these classes.
* ``model_folder`` — write and read a model folder. ``fine_tune`` — a small training loop.
* ``precision`` — whether bf16 may stand in for fp32 here. ``checkpoints`` — weights from files, and nothing else.
"""

__all__ = [
    "anatomy",
    "backbones",
    "checkpoints",
    "explained",
    "fine_tune",
    "linear_head",
    "model_folder",
    "open_clip_net",
    "precision",
]

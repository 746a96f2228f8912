"""From the text given as ``--model`` to a loaded network. The only place where a user's own code is imported."""

from __future__ import annotations

import difflib
import importlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from casebase.errors import ModelError, UnknownBackbone, UsageError, WeightsMissing
from casebase.networks import checkpoints
from casebase.networks.downloading import fetching
from casebase.networks.loaded import Loaded, checked_classes, seeded
from casebase.reading import Preprocess, printable

LIBRARIES = ("torchvision", "timm", "open_clip", "casebase")
MODEL_FILE = "model.json"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a ``--model`` text means.

    ``kind`` is a library (``torchvision``, ``timm``, ``open_clip``), ``folder`` (a model folder at ``path``) or
    ``factory`` (a user's function, ``name`` is ``module:function``). ``tag`` picks among published weights; ``path``
    of a library's network is the local weights file.
    """

    kind: str
    name: str
    tag: str | None = None
    path: Path | None = None

    @property
    def text(self) -> str:
        """The architecture as a ``--model`` text, weights left out."""
        return self.name if self.kind == "factory" else f"{self.kind}:{self.name}"

    @property
    def runs_code(self) -> bool:
        """Whether loading imports and calls a user's own code; commands say so before they do it."""
        return self.kind == "factory"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which network, and with which weights and class names.

    ``pretrained`` without ``weights`` means the library's published weights; without either, random ones from
    ``seed``. ``outputs`` is the number of classes of random weights (None: the architecture's own).
    """

    model: str
    arch: str | None = None
    weights: Path | None = None
    class_names: Path | None = None
    pretrained: bool = True
    outputs: int | None = None
    seed: int = 0


def parse(model: str, arch: str | None = None, weights: Path | None = None) -> Spec:
    """What ``model`` means; loads no weights and imports no library of networks.

    Raises ``UnknownBackbone`` for a text that means nothing, ``WeightsMissing`` for a path with nothing there, and
    ``UsageError`` for a checkpoint file without ``arch``, or with weights given twice.
    """
    path = Path(model)
    if (path / MODEL_FILE).is_file():
        return Spec("folder", path.name, path=path)
    if path.suffix.lower() in checkpoints.SUFFIXES:
        if arch is None:
            raise UsageError(f"{printable(model)} holds weights only; name their architecture, e.g. --arch resnet18")
        if weights is not None:
            raise UsageError(f"weights were given twice, {printable(model)} and {printable(str(weights))}; give one")
        return replace(_named(arch if ":" in arch else f"torchvision:{arch}"), path=path)
    if path.is_dir():
        raise UnknownBackbone(f"{printable(model)} is a folder without {MODEL_FILE}: not a model folder of casebase")
    if arch is not None:
        raise UsageError(f"--arch names the architecture of a checkpoint file; {printable(model)!r} is none")
    if ":" not in model and ("/" in model or "\\" in model):
        raise WeightsMissing(f"nothing at {printable(model)}; give a model folder, a weights file or a name")
    return replace(_named(model), path=weights)


def _named(text: str) -> Spec:
    library, colon, name = text.partition(":")
    if not colon:
        shown = printable(text)
        raise UnknownBackbone(f"no network {shown!r}; name its library too: torchvision:{shown or 'resnet18'}")
    if not name:
        raise UnknownBackbone(f"{printable(text)!r} names no network behind the colon; e.g. torchvision:resnet18")
    if library not in LIBRARIES:
        return Spec("factory", text)
    base, slash, tag = name.partition("/")
    return Spec(library, base, tag=tag if slash else None) if library != "timm" else Spec(library, name)


def load(wanted: Wanted) -> Loaded:
    """The network that is wanted, in eval mode on the CPU, float32.

    Raises ``UnknownBackbone`` with near names, ``WeightsMissing``, ``CheckpointRefused``, ``UsageError``,
    ``ModelError``.
    """
    spec = parse(wanted.model, wanted.arch, wanted.weights)
    if spec.kind == "folder":
        if wanted.weights is not None:
            raise UsageError(f"{printable(wanted.model)} brings its own weights; leave --weights out")
        from casebase.networks import model_folder

        return model_folder.load(Path(wanted.model)).with_classes(_class_names(wanted.class_names))
    if spec.kind == "open_clip":
        from casebase.networks import open_clip_net

        _known(spec, open_clip_net.names())
        return open_clip_net.load(
            spec.name, spec.tag, weights=spec.path, pretrained=wanted.pretrained, seed=wanted.seed
        )
    makers: Mapping[str, Callable[[Spec, Wanted], Loaded]] = {
        "torchvision": _torchvision,
        "timm": _timm,
        "casebase": _small,
        "factory": _factory,
    }
    return makers[spec.kind](spec, wanted).with_classes(_class_names(wanted.class_names))


def blueprint(text: str, outputs: int | None = None, *, seed: int = 0) -> Loaded:
    """An architecture with random weights, nothing downloaded: what a model folder's weights are put into."""
    return load(Wanted(text, pretrained=False, outputs=outputs, seed=seed))


def _torchvision(spec: Spec, wanted: Wanted) -> Loaded:
    from casebase.networks import torchvision_net as library

    _known(spec, library.names())
    library.weights_entry(spec.name, spec.tag)  # an unknown tag is told before anything is read
    trained = True
    if spec.path is not None:
        state = checkpoints.load_state(spec.path)
        module = _filled(lambda n: library.build(spec.name, n or library.IMAGENET, state), state, spec.path)
    elif wanted.pretrained:
        with fetching(spec.text):
            module = library.pretrained(spec.name, spec.tag)
    else:
        trained = False
        with seeded(wanted.seed):
            module = library.build(spec.name, wanted.outputs or library.IMAGENET)
    classes = library.categories(spec.name, spec.tag, _outputs(module)) if trained else None
    return Loaded(
        module=module.eval(),
        spec=spec.text,
        preprocess=library.preprocess(spec.name, spec.tag),
        classes=classes,
        layer=library.spatial_layer(spec.name, module),
        untrained=not trained,
    )


def _small(spec: Spec, wanted: Wanted) -> Loaded:
    from casebase.networks import small as library

    _known(spec, library.NAMES)
    if spec.path is not None:
        state = checkpoints.load_state(spec.path)
        module = _filled(lambda n: library.build(spec.name, n or library.OUTPUTS), state, spec.path)
    else:
        with seeded(wanted.seed):
            module = library.build(spec.name, wanted.outputs or library.OUTPUTS)
    return Loaded(module.eval(), spec.text, library.preprocess(), untrained=spec.path is None)


def _timm(spec: Spec, wanted: Wanted) -> Loaded:
    from casebase.networks import timm_net as library

    _known(spec, library.names())
    trained = True
    if spec.path is not None:
        state = checkpoints.load_state(spec.path)
        module = _filled(lambda n: library.build(spec.name, n), state, spec.path)
    elif wanted.pretrained:
        with fetching(spec.text):
            module = library.pretrained(spec.name)
    else:
        trained = False
        with seeded(wanted.seed):
            module = library.build(spec.name, wanted.outputs)
    return Loaded(
        module=module.float().eval(),
        spec=spec.text,
        preprocess=library.preprocess(module),
        classes=library.categories(module, _outputs(module)) if trained else None,
        layer=library.spatial_layer(spec.name, module),
        untrained=not trained,
    )


def _factory(spec: Spec, wanted: Wanted) -> Loaded:
    """A user's function: returns a module, or (module, class names or None, preprocessing as a dict or None)."""
    from casebase.networks import torchvision_net

    with seeded(wanted.seed):
        made = _imported(spec.name)()
    parts: Sequence[Any] = made if isinstance(made, tuple) else (made,)
    module, classes, preprocess = (*parts, None, None)[:3]
    if not isinstance(module, nn.Module):
        raise ModelError(f"{printable(spec.name)} returned {type(module).__name__}; it has to return a torch.nn.Module")
    if spec.path is not None:
        checkpoints.load_into(module, checkpoints.load_state(spec.path), spec.path)
    try:
        chain = torchvision_net.preprocess("resnet18", None) if preprocess is None else Preprocess.from_dict(preprocess)
    except (TypeError, KeyError, ValueError) as error:
        raise ModelError(
            f"{printable(spec.name)} returned a preprocessing casebase cannot read ({error!r}); it is a dict of "
            "resize, crop (height, width), interpolation, mean and std, or None"
        ) from None
    return Loaded(
        module=module.float().eval(),
        spec=spec.text,
        preprocess=chain,
        classes=None if classes is None else checked_classes([str(c) for c in classes]),
        runs_code=True,
    )


def _filled(build: Callable[[int | None], nn.Module], state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The architecture with the number of outputs that the weights have, and those weights in it."""
    with seeded(0):
        module = build(None)
        name, last = _last_weight(module)
        given = state.get(name)
        if given is not None and given.shape[1:] == last.shape[1:] and given.shape[0] != last.shape[0]:
            module = build(int(given.shape[0]))
    checkpoints.load_into(module, state, path)
    return module


def _last_weight(module: nn.Module) -> tuple[str, Tensor]:
    """The last weight in order of definition: in the libraries' classifiers that of the head."""
    found = [(name, value) for name, value in module.state_dict().items() if value.ndim >= 2]
    return found[-1] if found else ("", torch.empty(0))


def _outputs(module: nn.Module) -> int:
    """A classifier's number of classes."""
    return int(_last_weight(module)[1].shape[0])


def _known(spec: Spec, names: Sequence[str]) -> None:
    if spec.name in names:
        return
    near = difflib.get_close_matches(spec.name, names, n=4, cutoff=0.5)
    ask = f"did you mean {', '.join(near)}?" if near else f"e.g. {spec.kind}:{names[0]}"
    raise UnknownBackbone(f"{spec.kind} has no network {printable(spec.name)!r}; {ask}")


def _imported(text: str) -> Callable[[], Any]:
    module_name, _, attribute = text.partition(":")
    near = difflib.get_close_matches(module_name, LIBRARIES, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}:{attribute}?" if near else "is it importable from here?"
    # Said before it happens: a model folder from somebody else may name any module.
    logging.getLogger("casebase").warning("casebase: importing %s, which runs its code", printable(text))
    with _from_here():
        try:
            found = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not module_name.startswith(error.name):
                raise ModelError(f"the module {printable(module_name)!r} wants {error.name!r}, not installed") from None
            raise UnknownBackbone(f"no library and no module {printable(module_name)!r}; {hint}") from None
        except (ValueError, TypeError):
            raise UnknownBackbone(f"{printable(text)!r} is no module:function; {hint}") from None
        factory = getattr(found, attribute, None)
    if not callable(factory):
        raise UnknownBackbone(f"the module {printable(module_name)!r} has no function {printable(attribute)!r}")
    return factory  # type: ignore[no-any-return]


@contextmanager
def _from_here() -> Iterator[None]:
    """The current folder as a place to import from, as it is for ``python -m``."""
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


def _class_names(path: Path | None) -> tuple[str, ...] | None:
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"the class names in {printable(str(path))} cannot be read ({reason})") from None
    while lines and not lines[-1].strip():
        lines.pop()
    return checked_classes([line.strip() for line in lines])

"""casebase: why did the classifier say that, and which training images speak for it or against it?

>>> import casebase
>>> casebase.__version__
'0.1.0'

``open`` and ``create`` give a :class:`casebase.api.Base`: ``index``, ``query``, ``explain``, ``stats``, ``verify``,
``repair``. ``audit_data`` looks at a data set before any training, ``generate`` and ``pair`` make one of generated
images. Every error is a :class:`casebase.errors.CasebaseError`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from casebase.errors import CasebaseError

if TYPE_CHECKING:
    from casebase.api import Base
    from casebase.data_audit import DataAudit
    from casebase.datasets import Generated, Paired

__version__ = "0.1.0"
__all__ = ["CasebaseError", "__version__", "audit_data", "create", "generate", "open", "pair"]


def open(path: str | Path | None = None, **flags: object) -> Base:  # noqa: A001  # the name users expect, as in gzip.open
    """Open an existing case base; ``path`` defaults to ``CASEBASE_BASE`` or ``.casebase``.

    ``flags`` are settings that win over ``casebase.toml``: ``device``, ``seed``, ``workers``, … Raises ``NoCaseBase``,
    ``MigrationNeeded``, ``StorageFailed``, ``SettingsError``.
    """
    from casebase import settings
    from casebase.api import Base

    return Base(settings.load(path, flags))


def create(
    path: str | Path | None = None,
    *,
    model: str | None = None,
    weights: str | Path | None = None,
    **flags: object,
) -> Base:
    """Open a case base, making it where there is none. ``model`` and ``weights`` are used by its first ``index``."""
    from casebase import settings
    from casebase.api import Base, ModelChoice

    choice = ModelChoice(model=model, weights=None if weights is None else Path(weights))
    return Base(settings.load(path, flags), create=True, model=choice)


def audit_data(
    data: str | Path, *, model: str | None = None, weights: str | Path | None = None, **flags: object
) -> DataAudit:
    """What is wrong with a data set, before any training: leaks, copies, unreadable files, balance, groups.

    ``data`` is a folder of class folders or a manifest; ``model`` and ``weights`` name a network that checks copies.
    ``flags`` are settings, as in :func:`open`. The result has ``findings``, ``to_dict()`` and ``save("page.html")``.
    """
    from casebase import api, settings

    choice = None
    if model is not None or weights is not None:
        choice = api.ModelChoice(model=model, weights=None if weights is None else Path(weights))
    return api.audit_data(settings.load(None, flags), data, choice)


def generate(
    out: str | Path,
    *,
    pipeline: str = "google/ddpm-cat-256",
    seed: int | None = None,
    device: str | None = None,
    progress: bool = False,
    **options: Any,
) -> Generated:
    """Fill a folder with images from a diffusers pipeline, a local folder or a name on the Hugging Face hub.

    ``options`` are those of :class:`casebase.api.GenerateOptions`: ``count``, ``scheduler``, ``steps``, ``eta``, …
    """
    from casebase import api, settings

    chosen = settings.load(None, {"seed": seed, "device": device})
    return api.generate(chosen, out, api.GenerateOptions(pipeline=pipeline, **options), progress=progress)


def pair(
    real: str | Path,
    generated: str | Path,
    out: str | Path,
    *,
    size: int = 256,
    quality: tuple[int, int] = (70, 95),
    format: str = "jpeg",  # noqa: A002  # as the command calls it
    seed: int | None = None,
    progress: bool = False,
    **options: Any,
) -> Paired:
    """Make a two-class set of photographs and generated images that all went through one pipeline.

    ``options`` are those of :class:`casebase.api.PairOptions`: ``count``, ``val``, ``test``, ``groups``, …
    """
    from casebase import api, settings
    from casebase.canonical import Canonical

    wanted = api.PairOptions(Canonical(size, quality, format), **options)
    return api.pair(settings.load(None, {"seed": seed}), real, generated, out, wanted, progress=progress)

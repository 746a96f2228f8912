"""Downloads of published weights: a missing network is one sentence, and no wait of a minute."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from casebase.errors import CasebaseError, WeightsMissing

_QUIET = ("huggingface_hub", "huggingface_hub.utils._http", "timm.models._builder", "timm.models._hub", "root")


@contextmanager
def fetching(what: str, instead: str = "give them with --weights FILE") -> Iterator[None]:
    """Whatever a library raises while it fetches ``what`` becomes ``WeightsMissing``; ``instead`` says what to do.

    Where the hub's host has no address, the hub's own client is told to look into its cache only: it would otherwise
    try again for most of a minute.
    """
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    levels = {name: logging.getLogger(None if name == "root" else name).level for name in _QUIET}
    try:
        constants.HF_HUB_OFFLINE = offline or not _reachable(constants.ENDPOINT)
        for name in levels:
            logging.getLogger(None if name == "root" else name).setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except CasebaseError:
        raise
    except Exception as error:  # urllib, requests, httpx, the hub, OSError, RuntimeError: every library has its own
        raise WeightsMissing(f"cannot download the weights of {what} ({type(error).__name__}): {instead}") from None
    finally:
        constants.HF_HUB_OFFLINE = offline
        for name, level in levels.items():
            logging.getLogger(None if name == "root" else name).setLevel(level)


def _reachable(endpoint: str) -> bool:
    """Whether the host has an address; behind a proxy that cannot be told, so it counts as reachable."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    try:
        socket.getaddrinfo(urlsplit(endpoint).hostname, 443)
    except OSError:
        return False
    return True

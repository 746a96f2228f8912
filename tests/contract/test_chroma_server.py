"""A Chroma server by URL, on this machine's loopback: the same answers, rebuilt when the server forgets."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from casebase.errors import SettingsError
from casebase.settings import Settings
from casebase.storage.opening import make_store
from tests.fakes import clustered, entry, fill

# chromadb's own client leaves its sockets to the garbage collector, even when it is closed.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CHROMA = Path(sys.executable).with_name("chroma")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not CHROMA.exists() and shutil.which("chroma") is None:
        pytest.skip("this chromadb brings no server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(CHROMA), "run", "--host", "127.0.0.1", "--port", str(port)]
    place = tmp_path_factory.mktemp("server")
    process = subprocess.Popen([*command, "--path", str(place)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def test_a_server_answers_the_unfiltered_list_and_is_rebuilt_when_it_forgets(server: str, tmp_path: Path) -> None:
    import chromadb

    vectors, called = clustered(300)
    entries = [entry(f"{i:03d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))]
    store = make_store(Settings(base=tmp_path / "base", chroma_url=server))
    fill(store, entries)
    found = store.nearest("avgpool", vectors[0], 5)
    assert found.index == "chroma"
    before = [hit.case.id for hit in found.hits]
    client = chromadb.HttpClient(host="127.0.0.1", port=int(server.rsplit(":", 1)[1]))
    for held in client.list_collections():
        client.delete_collection(held.name)
    store.close_view()
    again = store.nearest("avgpool", vectors[0], 5)
    assert [hit.case.id for hit in again.hits] == before
    assert again.index == "chroma"
    assert "rebuilt" in (again.warning or "")
    store.close()


def test_a_server_that_is_gone_leaves_exact_answers_and_a_warning(tmp_path: Path) -> None:
    vectors, called = clustered(30)
    entries = [entry(f"{i:03d}", v, int(c)) for i, (v, c) in enumerate(zip(vectors, called, strict=True))]
    embedded = make_store(Settings(base=tmp_path / "base"))
    fill(embedded, entries)
    embedded.close()
    store = make_store(Settings(base=tmp_path / "base", chroma_url="http://127.0.0.1:9"))
    found = store.nearest("avgpool", vectors[0], 5)
    assert found.index == "exact"
    assert "does not answer" in (found.warning or "")
    assert len(found.hits) == 5
    store.close()


def test_a_url_that_is_none_is_said(tmp_path: Path) -> None:
    from casebase.storage.chroma_server import client

    with pytest.raises(SettingsError, match="http://host:8000"):
        client("localhost:8000")

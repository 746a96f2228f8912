"""Opened by ``chroma.probe`` in a process of its own: does this folder open, count and answer?

Prints one line and ends with 1 where it does not; a native crash ends the process by itself.
"""

from __future__ import annotations

import json
import sys


def main(place: str, spaces: dict[str, int]) -> int:
    """0 when every collection has its count and answers a query with one of its own vectors."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(place, settings=Settings(anonymized_telemetry=False))
    for name, count in spaces.items():
        collection = client.get_collection(name, embedding_function=None)
        found = collection.count()
        if found != count:
            print(f"{name} holds {found} of {count} rows")
            return 1
        some = collection.get(limit=1, include=["embeddings"])
        if count and len(collection.query(query_embeddings=some["embeddings"], n_results=1)["ids"][0]) != 1:
            print(f"{name} does not answer")
            return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
    except Exception as error:
        print(f"{type(error).__name__}: {error}".splitlines()[0])
        sys.exit(1)

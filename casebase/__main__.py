"""``python -m casebase``."""

from casebase.cli.main import run

if __name__ == "__main__":
    run()

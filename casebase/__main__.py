"""``python -m casebase``."""


def main() -> None:
    """The command line."""
    from casebase.cli.main import run

    run()


if __name__ == "__main__":
    main()

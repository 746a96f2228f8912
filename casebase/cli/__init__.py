"""The command line: a command is one call of ``casebase.api``, shown. No rules of its own."""

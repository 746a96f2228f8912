"""Audit of a data set before training.

``leak`` tells the class from the files alone · ``looks`` frees miniatures of what a set has in common, ``candidates``
finds pairs that may be one photograph, ``copies`` checks and groups them · ``odd`` names strange files · ``spread``
counts classes and groups by split · ``words`` says it in sentences, ``tables`` in tables · ``study`` does all of it.
"""

"""Prototype networks: parts of a class as real patches of cases, learned beside the explained network.

``model`` says what prototypes make of a map of places and keeps their vectors in a file · ``features`` caches what the
frozen part makes of the training images · ``clusters`` finds the parts, ``head`` weighs them, ``pruning`` drops the
useless ones · ``collapse`` is the detector, ``gates`` what must hold before they are handed over · ``signed`` and
``classic`` are the two recipes, ``training`` runs one.
"""

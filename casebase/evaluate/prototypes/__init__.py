"""What a set of prototypes is worth, beside the network it explains.

``options`` are a person's choices · ``sights`` hold what a set said of the images, ``standing`` counts right answers,
``census`` the prototypes · ``steadiness`` (noise), ``formats`` (re-encoding), ``hidden`` (deletion) and ``aim`` (masks)
look at matches, ``annotated`` holds them against ``part_file``'s parts · ``looking`` reads the images once for all
of them, ``study`` measures, ``tables`` and ``words`` tell · ``measure`` puts it together.
"""

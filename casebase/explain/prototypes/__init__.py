"""Parts, this patch looks like that patch: what prototypes say of one image, and what they are.

``matching`` finds the matches that make a class's score · ``checking`` hides the matched place and looks ·
``evidence`` does both for many answers · ``part_words`` and ``section`` turn them into sentences and pictures ·
``picture`` asks about one image · ``gallery`` shows the prototypes of a network · ``pages`` writes both down.
"""

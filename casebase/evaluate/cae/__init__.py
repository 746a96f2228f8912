"""What a class association embedding is worth: its swaps, its codes, its walks, and the maps made of them.

``options`` are a person's choices · ``looking`` reads the images, ``swaps`` exchanges their class codes, ``codes`` asks
what can be read from either code, ``walks`` goes from class to class and holds what it finds against retrieved cases ·
``removal`` are the deletion metrics of its maps, run by the saliency bench · ``study`` measures, ``tables``,
``map_tables`` and ``words`` tell, ``plots`` draws · ``measure`` puts it together.
"""

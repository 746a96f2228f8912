"""The saliency bench: many methods, many networks, every metric that the field argues about, and honest baselines.

``metric`` says what a metric is given and what it gives back · ``hiding`` thresholds a map and hides parts of an
image · ``confidence``, ``road``, ``patches``, ``removal`` alter the image and watch the score · ``agreement`` compares
with a mask · ``sanity``, ``sensitivity`` ask whether the map hangs on the network, ``sparseness`` how concise it is ·
``baselines`` are maps that know nothing · ``catalogue`` lists the metrics · ``bench`` runs them, ``seeing`` and
``scoring`` do one network, ``marks`` are what it leaves behind, ``kept`` remembers what is done · ``summary`` compares,
``tables``, ``findings``, ``plots``, ``sheet`` show it, ``study`` puts it together, ``deck`` holds the published rows ·
``annotations`` reads masks.
"""

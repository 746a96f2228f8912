"""Timings with ratios and their correctness beside them: ``python -m benchmarks.run`` writes ``RESULTS.md``.

Rules (never in timed tests): contenders are interleaved round by round and the order turns round; the warm-up is
dropped; medians with least and most; a ratio is taken inside each round; a fast and wrong contender fails.
"""

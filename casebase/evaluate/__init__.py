"""Evaluate: metrics and studies, each figure with its n and its interval, beside its controls."""

__all__: list[str] = []

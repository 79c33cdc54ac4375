"""Measurements. Each runs both sides in one go, prints ratios, and keeps a small JSON in ``results/``.

These machines are shared and noisy: a time alone says little, a ratio of two
times taken in turns says more. ``python -m bench`` runs all of them,
``python -m bench startup`` one.
"""

"""Tests, laid out as the house is; each name is a sentence that must hold.

``pytest -m "not slow"`` runs the rules in seconds, without ms-swift; the slow
ones run real ms-swift on a very small model that ``conftest.py`` makes. None
sleeps, reaches a network or needs a file from outside the repository.
"""

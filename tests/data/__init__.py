"""Tests of ``tuner/data``."""

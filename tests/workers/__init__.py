"""Tests of ``tuner/workers``."""

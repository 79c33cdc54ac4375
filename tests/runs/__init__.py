"""Tests of ``tuner/runs``."""

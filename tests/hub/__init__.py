"""Tests of ``tuner/hub``."""

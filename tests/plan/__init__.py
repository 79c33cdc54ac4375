"""Tests of ``tuner/plan``."""

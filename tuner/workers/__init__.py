"""Warm children: the only place of the app where torch, transformers and swift are imported.

``pool`` is the parent's side, ``child`` the other side of the pipe, ``wire``
the lines between them. The remaining files are verbs, one file a noun.
"""

"""Tuner: a notebook-style fine-tuning assistant for ms-swift.

The page reads from top to bottom, and so do the folders:

    model + dataset -> data -> plan -> runs -> doctor -> (a new plan)

Importing this package costs nothing: no gradio, no torch, no swift.
"""

__version__ = "0.1.0"

"""Models: where they are, what they are, and how they get here.

``describe`` reads a model's JSON files, ``embedded`` makes the model that the
demo needs, ``models`` puts both together into a :class:`tuner.records.ModelInfo`.
"""

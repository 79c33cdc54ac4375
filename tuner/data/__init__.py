"""From rows to a report: what was found, what will be trained on, how long it is.

``files`` looks at a local file before anything heavy starts, ``sources`` turns
what the user chose into files and ids, ``inspection`` builds the report with
the help of a warm child, ``lengths`` is the arithmetic of ``max_length``.
"""

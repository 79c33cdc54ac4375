"""What a person should look at in the rows before they train: copies, leaks, leftovers, secrets.

``scan`` reads the rows of a look once (``reading``) and shows them to the
detectors, one noun a module: ``duplicates`` with their ``shingles``,
``answers``, ``leftovers``, ``secrets``, ``scripts`` and ``mix``. ``gather`` is
what the rows leave, ``compare`` holds them against one another, ``report``
makes sentences of it. ``kept`` and ``flags`` are what lies in the look's folder
afterwards; they need none of the others.
"""

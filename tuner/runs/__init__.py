"""Runs: a folder each, a supervisor process each, and threads that only follow.

``folder`` lays out and reads a run's folder, ``launch`` starts one,
``supervisor`` is its own process (standard library only), ``trainer`` is the
process that trains, ``events`` reads ms-swift's log, ``process`` recognises
processes, ``follower`` watches for the app.
"""

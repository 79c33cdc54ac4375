"""From a report to a plan: what each knob should be, and why.

``rules`` is one small pure function a knob, ``schedule`` the arithmetic of
steps, ``recommend`` puts them together and notices what makes no sense.
"""

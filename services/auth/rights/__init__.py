"""Rights: who may do what for which organisation, and who may give it."""

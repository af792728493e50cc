"""Detectors and classifiers: measured evidence, taken before the decision (R2.b, DESIGN.md section 5)."""

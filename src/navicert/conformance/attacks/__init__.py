"""Attacks and ordinary work, by threat class: one file each, read by `scenarios`."""

"""Anchors: where checkpoints are kept beside the store, on another owner's side."""

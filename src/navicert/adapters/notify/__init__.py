"""Notifiers: how approvers hear of a question; never what is in it."""

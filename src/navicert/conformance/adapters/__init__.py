"""Adapters of navicert's own surfaces, each a program that speaks the contract that others would speak."""

"""Signers: where private keys live."""

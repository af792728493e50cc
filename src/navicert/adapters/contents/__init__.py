"""Contents: digests of the files that an action names, so that an approval holds for what is in them."""

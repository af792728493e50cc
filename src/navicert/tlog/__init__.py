"""The formats of a transparency log: Merkle tree, tiles, signed notes, checkpoints, proofs (R5; DESIGN.md section 7).

* Pure: bytes and text in, values out. No file, no network, no clock; whoever calls brings what is read.
* The formats are those of RFC 6962 and of C2SP (signed-note, tlog-checkpoint, tlog-cosignature, tlog-tiles,
  tlog-proof), so that whoever doubts us can check a log with tools that we did not write.
* Readers are strict: what is read is written back to the same bytes, and anything else raises `VerificationError` with
  the code `schema`.
* The size of a tree always comes from a signed checkpoint, never from a proof.
"""

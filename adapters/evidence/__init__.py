"""Evidence that nobody changed the log: its Merkle tree, signed checkpoints kept elsewhere, verification."""

"""What documents consist of, in PostgreSQL: bytes, texts, chunks and vectors, each under a hash; and uploads."""

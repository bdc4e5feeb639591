"""Bond's records in files: JSON lines or Parquet, rotated, atomic, crash-safe."""

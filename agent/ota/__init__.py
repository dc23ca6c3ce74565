"""Models over the air: signed repository (TUF), checks on the box, two slots."""

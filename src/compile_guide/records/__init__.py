"""Records: the schema, and to load, save, validate, compare and export them. No module here imports MLX."""

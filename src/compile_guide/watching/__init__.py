"""Watch a whole program: what compiles in it, how often it is traced and why, whether it stays right, whether it pays."""

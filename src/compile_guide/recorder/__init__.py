"""The recorder: run each example in processes of its own, one after the other, and make a record of what they report."""

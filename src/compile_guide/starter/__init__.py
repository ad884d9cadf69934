"""A project to start from: what ``compile-guide init`` writes, and how it is told what a project needs."""

"""Judges that other projects wrote, and the long half of our own tests."""
